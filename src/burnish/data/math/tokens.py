r"""Tokens of an answer in LaTeX, plain text or Unicode. Nothing is evaluated.

Numerals are read by the rules of `burnish.data.numbers`: grouped digits, decimals, exponents.
Beyond them: any decimal digits of Unicode, superscripts as exponents, repeating decimals, mixed
numbers. Inside brackets a comma between digits separates entries (`(1,234)` is a pair).
"""

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction

from burnish.data.numbers import GROUPED, MAX_DIGITS, ungroup

MAX_CHARS = 4000
MAX_TOKENS = 1500
EXPONENT_LIMIT = 400  # digits of `1e400`; more is no numeral

# Characters beyond ASCII, as mathematics writes them in ASCII.
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

_SUPER_RUN = re.compile(f"[{''.join(SUPERSCRIPTS)}]+")
_ODD = re.compile(f"[^\x00-\x7f]|{chr(0x0A)}")

_IDLE = re.compile(
    r"(?<!\\)\\(?:left|right|displaystyle|textstyle|limits|bigl?|bigr?|Bigl?|Bigr?|quad|qquad|boldsymbol|"
    r"mathbf|mathit|bf)(?![A-Za-z])\.?|(?<!\\)\\(?:[;:! ]|(?=\$))|~"
)
_THIN = re.compile(r"(?<=[0-9])(?:\\,|\{,\}|[\u2009\u202f\u00a0])(?=[0-9]{3}(?![0-9]))")
_SHORT_FRACTION = re.compile(
    r"\\[dtc]?frac\s*(?:([0-9a-zA-Z])|(\{[^{}]*\}))\s*(?:([0-9a-zA-Z])|(?=\{))"
)
_SHORT_ROOT = re.compile(r"\\sqrt\s*([0-9]+|[a-zA-Z](?![a-zA-Z]))")
_OPEN_TEXT = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox|operatorname)\s*\{")
_REPEATING = re.compile(r"([0-9]*)\.([0-9]*)\\overline\{\s*([0-9]+)\s*\}")
_MIXED = re.compile(r"([0-9]+)[ ]+([0-9]+)/([0-9]+)(?![0-9./])")
_NUMERAL = re.compile(
    r"(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+|[0-9]+\.(?![0-9]))(?:[eE]([+-]?[0-9]+)(?![0-9A-Za-z]))?"
)
_COMMAND = re.compile(r"\\(?:[A-Za-z]+|[{}|\\%$#&_,])")
_WORD = re.compile(r"[A-Za-z]+")
_OPERATORS = ("**", "<=", ">=", "!=", "==", *"+-*/^_=<>!%,;:|()[]{}'&.?\"`")


class Unreadable(Exception):
    """The text is no answer that can be read; the message is the reason."""


@dataclass(frozen=True, kw_only=True)
class Token:
    r"""`kind`: num, word, command, op or text (what stood in `\\text{...}`).

    `value` of a numeral is its exact value; `integer` says that it was written without a point.
    `glued`: no white space before it.
    """

    kind: str
    text: str
    value: Fraction | None = None
    integer: bool = False
    glued: bool = False


def tokenize(text: str) -> list[Token]:
    """Tokens of an answer.

    Raises: Unreadable, for characters that no answer has, or too many of them.
    Source: ours. Linear in the length of the text.
    Oracle: tests/data/test_tokens.py::test_planted_tokens
    """
    if len(text) > MAX_CHARS:
        raise Unreadable("the answer is too long to be read")
    text = _plain(text)
    tokens: list[Token] = []
    at, depth, end = 0, 0, len(text)
    while at < end:
        if text[at].isspace():
            at += 1
            continue
        token, stop = _token(text, at, depth)
        token = Token(**{**vars(token), "glued": at > 0 and not text[at - 1].isspace()})
        depth += (token.text in ("(", "[", r"\{", "{")) - (token.text in (")", "]", r"\}", "}"))
        if not (token.kind == "op" and token.text == "$"):
            tokens.append(token)
        at = stop
        if len(tokens) > MAX_TOKENS:
            raise Unreadable("the answer has too many parts")
    return tokens


def _plain(text: str) -> str:
    if _ODD.search(text):
        text = _SUPER_RUN.sub(lambda m: "^{" + "".join(SUPERSCRIPTS[c] for c in m[0]) + "}", text)
        text = "".join(_as_ascii(char) for char in text)
    if "\\" in text:
        text = _IDLE.sub("", text)
        text = _SHORT_FRACTION.sub(_braced, text)
        text = _SHORT_ROOT.sub(r"\\sqrt{\1}", text)
    return _THIN.sub("", text).replace("$", "")


def _as_ascii(char: str) -> str:
    if char < "\x80":
        return char
    if char in SYMBOLS:
        return SYMBOLS[char]
    if (digit := unicodedata.decimal(char, None)) is not None:
        return str(digit)
    return char


def _braced(match: re.Match[str]) -> str:
    top = match[2] or "{" + match[1] + "}"
    return r"\frac" + top + ("{" + match[3] + "}" if match[3] else "")


def _token(text: str, at: int, depth: int) -> tuple[Token, int]:
    char = text[at]
    if char.isdigit() or char == ".":
        found = _number(text, at, depth)
        if found is not None:
            return found
    if char == "\\":
        return _command(text, at)
    if char.isalpha():
        word = _WORD.match(text, at)
        if word is None:
            return Token(kind="word", text=char), at + 1
        return Token(kind="word", text=word[0]), word.end()
    for operator in _OPERATORS:
        if text.startswith(operator, at):
            return Token(kind="op", text=operator), at + len(operator)
    if char in "€£¥₹":
        return Token(kind="word", text=char), at + 1
    raise Unreadable(f"the character {char!r} is not part of an answer")


def _command(text: str, at: int) -> tuple[Token, int]:
    opened = _OPEN_TEXT.match(text, at)
    if opened:
        depth, stop = 1, opened.end()
        while stop < len(text) and depth:
            depth += (text[stop] == "{") - (text[stop] == "}")
            stop += 1
        if depth:
            raise Unreadable("a brace is not closed")
        return Token(kind="text", text=text[opened.end() : stop - 1].strip()), stop
    command = _COMMAND.match(text, at)
    if command is None:
        raise Unreadable("a backslash stands alone")
    name = command[0]
    if name == r"\%":
        return Token(kind="op", text="%"), command.end()
    if name == r"\,":
        return Token(kind="op", text="$"), command.end()  # a space, dropped by the caller
    return Token(kind="command", text=name), command.end()


def _number(text: str, at: int, depth: int) -> tuple[Token, int] | None:
    if repeating := _REPEATING.match(text, at):
        return _repeating(repeating), repeating.end()
    if mixed := _MIXED.match(text, at):
        whole, top, bottom = (_integer(part) for part in mixed.groups())
        if bottom == 0:
            raise Unreadable("a division by zero")
        value = whole + Fraction(top, bottom)
        return Token(kind="num", text=mixed[0], value=value), mixed.end()
    grouped = GROUPED.match(text, at) if depth == 0 else None
    if grouped and not grouped[0].isdigit():
        point = text[grouped.end() : grouped.end() + 1] == "."
        rest = _NUMERAL.match(text, grouped.end()) if point else None
        stop = rest.end() if rest else grouped.end()
        digits = ungroup(grouped[0]) + (rest[0] if rest else "")
        value = Fraction(digits.rstrip("."))
        return Token(kind="num", text=digits, value=value, integer="." not in digits), stop
    plain = _NUMERAL.match(text, at)
    if plain is None:
        return None
    _integer(plain[0].replace(".", "")[:1] or "0")
    if len(plain[0]) > MAX_DIGITS or (plain[1] and abs(int(plain[1])) > EXPONENT_LIMIT):
        raise Unreadable("a number has too many digits")
    written = plain[0].rstrip(".") if plain[1] is None else plain[0]
    integer = written.isdigit()
    return Token(kind="num", text=written, value=Fraction(written), integer=integer), plain.end()


def _repeating(match: re.Match[str]) -> Token:
    whole, fixed, cycle = match[1] or "0", match[2], match[3]
    nines = (10 ** len(cycle) - 1) * 10 ** len(fixed)
    value = Fraction(_integer(whole + fixed), 10 ** len(fixed)) + Fraction(_integer(cycle), nines)
    return Token(kind="num", text=match[0], value=value)


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise Unreadable("a number has too many digits")
    return int(digits)
