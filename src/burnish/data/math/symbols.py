"""Characters beyond ASCII that stand for what mathematics has another way to write."""

SYMBOLS = {
    "\u2212": r"-", "\ufe63": r"-", "\uff0d": r"-", "\u2013": r"-", "\u00d7": r"*",
    "\u00b7": r"*", "\u22c5": r"*", "\u2217": r"*", "\u00f7": r"/", "\u2215": r"/",
    "\u2044": r"/", "\u03c0": r"\pi ", "\u221e": r"\infty ", "\u2264": r"\le ", "\u2265": r"\ge ",
    "\u2260": r"\ne ", "\u222a": r"\cup ", "\u2229": r"\cap ", "\u2205": r"\emptyset ",
    "\u00b1": r"\pm ", "\u2213": r"\mp ", "\u2208": r"\in ", "\u2026": r"\ldots ",
    "\u00b0": r"^\circ ", "\u221a": r"\sqrt ", "\uff05": r"%", "\uff0b": r"+", "\uff1d": r"=",
    "\uff08": r"(", "\uff09": r")", "\uff0c": r",", "\u00bd": r" 1/2 ", "\u00bc": r" 1/4 ",
    "\u00be": r" 3/4 ", "\u2153": r" 1/3 ", "\u2154": r" 2/3 ", "\u2155": r" 1/5 ",
    "\u215b": r" 1/8 ", "\u03b8": r"\theta ", "\u03b1": r"\alpha ", "\u03b2": r"\beta ",
    "\u03bb": r"\lambda ", "\u03c6": r"\phi ",
}  # fmt: skip
SUPERSCRIPTS = {
    "\u2070": "0", "\u00b9": "1", "\u00b2": "2", "\u00b3": "3", "\u2074": "4", "\u2075": "5",
    "\u2076": "6", "\u2077": "7", "\u2078": "8", "\u2079": "9", "\u207b": "-", "\u207a": "+",
}  # fmt: skip
