r"""Numbers as people and models write them: `-1,234.50`, `$5`, `3/4`, `1e3`, `\frac{3}{4}`.

What counts as a number, in full:

- digits with optional thousands commas (also as in India: `1,50,000`), spaces or apostrophes
  between groups of three (`1 000`), decimals, one `/denominator`, an exponent, or a mixed
  number (`1 1/2`); a currency sign before and a percent sign after are ignored (50% is 50);
- `2.5 \times 10^3` is 2500, and a unit's exponent (`m^2`) is no number;
- digits glued to a letter or underscore before them are no number (`H2O`, `x_1`), after them they
  are (`5kg`); three or more parts joined by the same `.`, `/`, `:` or `-` are a date, a version or
  a time, and no number (`2024-05-01`);
- a minus sign counts only where it touches the number (or its currency sign) and nothing before
  it on the line can be subtracted from: after a digit, a closing bracket or a percent sign, and
  after a letter that touches it, it is an operator. So `is -3` and `= -3` are -3, while `5 -3`,
  `5-3`, `5 - 3` and `covid-19` end in a positive number.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

MAX_DIGITS = 2000  # Python refuses to read integers beyond 4300 digits
CURRENCIES = "$€£¥₹"

_SPACES = " \u00a0\u2009\u202f'\u2019"  # what is between groups of three besides commas
_DIGITS = (
    r"(?>[0-9]{1,3}(?:,[0-9]{3})++(?![0-9])|[0-9]{1,2}(?:,[0-9]{2}(?=,))++,[0-9]{3}(?![0-9])"
    rf"|[0-9]{{1,3}}(?:[{_SPACES}][0-9]{{3}})++(?![0-9,/]|-[A-Za-z])|[0-9]++)"
)
_GROUPS = str.maketrans("", "", "," + _SPACES)
GROUPED = re.compile(_DIGITS)  # the digits of a whole number as people group them
_TOKEN = re.compile(
    rf"""(?<![0-9A-Za-z_])(?<![0-9]\.)(?<![A-Za-z]\^)(?<![A-Za-z]\^\{{)(?<![A-Za-z]\*\*)(?:
      (?P<date> [0-9]++ (?P<joint>[./:-]) [0-9]++ (?:(?P=joint)[0-9]++)+ )
    | (?:(?P<whole>[0-9]++)[ ](?=[0-9]++/[0-9]))?
      (?P<top> {_DIGITS}(?:\.[0-9]++)? | (?<!\.)\.[0-9]++ )
      (?: /(?P<bottom>{_DIGITS})(?!\.[0-9]) | [eE](?P<power>[+-]?[0-9]++)(?![0-9A-Za-z_]) )?
    )""",
    re.VERBOSE,
)
_FRACTION = re.compile(
    r"\\[dt]?frac\s*+(?:\{\s*+(-?[0-9.,]++)\s*+\}|([0-9]))\s*+(?:\{\s*+([0-9.,]++)\s*+\}|([0-9]))"
)
_BEFORE_FRACTION = re.compile(r"(?<=[0-9])(?=\\[dt]?frac)")
_LATEX = (
    ("\\times", "\u00d7"),
    ("\\cdot", "\u00d7"),
    ("\\div", "\u00f7"),
    ("{,}", ","),
    ("\\,", ""),
    ("\\!", ""),
    ("\\$", "$"),
    ("\\%", "%"),
)
_POWER_OF_TEN = re.compile(
    r"(?<=[0-9])\s*+[x*\u00d7]\s*+10\s*+\^\s*+(?:\{\s*+(-?[0-9]++)\s*+\}|(-?[0-9]++))"
)
_SINGLE = {"\u00bd": "1/2", "\u00bc": "1/4", "\u00be": "3/4", "\u2153": "1/3", "\u2154": "2/3"}
_MINUS_SIGNS = str.maketrans("\u2212\ufe63\uff0d", "---")


@dataclass(frozen=True, kw_only=True)
class Number:
    """A number found in a text: `text` is how it was written, without commas and currency.

    `value` is None where the digits mean no number that can be held: division by zero, or more
    than `MAX_DIGITS` digits. `start` and `end` span it in the cleaned text, sign included.
    """

    text: str
    value: Fraction | None
    start: int
    end: int


def ungroup(digits: str) -> str:
    """The digits without what groups them."""
    return digits.translate(_GROUPS)


def clean_text(text: str) -> str:
    """Return `text` with the LaTeX and Unicode spellings of numbers turned into plain ones."""
    text = text.translate(_MINUS_SIGNS)
    for written, plain in _LATEX:
        text = text.replace(written, plain)
    for sign, plain in _SINGLE.items():
        if sign in text:
            text = re.sub(f"(?<=[0-9]) ?{sign}", f" {plain}", text).replace(sign, plain)
    text = _POWER_OF_TEN.sub(lambda match: f"e{match[1] or match[2]}", text)
    return _FRACTION.sub(_as_division, _BEFORE_FRACTION.sub(" ", text))


def find_numbers(text: str) -> Iterator[Number]:
    """Yield the numbers of a cleaned text from left to right (rules: see the module).

    Source: ours. Linear in the length of the text.
    Oracle: tests/data/test_numbers.py::test_planted_numbers_are_read
    """
    for match in _TOKEN.finditer(text):
        if match["date"]:
            continue
        start, sign = _sign(text, match.start())
        mixed = match["whole"] or ""  # the space behind it parts two numbers
        rest = match[0].removeprefix(mixed) if mixed else match[0]
        written = sign + mixed + (" " if mixed else "") + ungroup(rest)
        yield Number(text=written, value=_value(match, sign), start=start, end=match.end())


def read_number(text: str) -> Number | None:
    """Return the number that the whole text is, or None where it is anything else."""
    text = clean_text(text).strip()
    number = next(find_numbers(text), None)
    if number is None or number.start != 0:
        return None
    return number if text[number.end :].strip() in ("", ".", "%", "%.") else None


def _as_division(match: re.Match[str]) -> str:
    top, bottom = match[1] or match[2], match[3] or match[4]
    return f"{top}/{bottom}"


def _sign(text: str, start: int) -> tuple[int, str]:
    """Where the number that has its digits at `start` begins, and its sign."""
    if start and text[start - 1] in CURRENCIES:
        start -= 1
    if start == 0 or text[start - 1] != "-":
        return start, ""
    before = start - 1
    while before and text[before - 1] in " \t":
        before -= 1
    last = text[before - 1] if before else ""
    touches = before == start - 1
    if last and (last in "0123456789)]}%" or (touches and last.isalpha())):
        return start, ""
    return start - 1, "-"


def _value(match: re.Match[str], sign: str) -> Fraction | None:
    if len(match[0]) > MAX_DIGITS or abs(power := int(match["power"] or 0)) > MAX_DIGITS:
        return None
    bottom = int(ungroup(match["bottom"] or "1"))
    if bottom == 0:
        return None
    value = Fraction(ungroup(match["top"])) / bottom * Fraction(10) ** power
    value += int(match["whole"] or 0)
    return -value if sign else value
