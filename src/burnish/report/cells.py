"""How one value is written: numbers to four significant digits, hostile text made visible."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

MISSING = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"
_SIGNIFICANT_DIGITS = 4
_MOST_DECIMALS = 4  # a column is aligned on the decimal point up to this many

# C0 but tab and newline, DEL, C1, bidirectional overrides and isolates, line and paragraph
# separators, byte order mark, lone surrogates: what could redraw a terminal or reorder a page.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def visible(text: str) -> str:
    r"""The text with every character that acts without showing replaced by one that shows.

    They become Python escapes (`\x1b`, `\u202e`), legible in every font. Tabs and newlines
    stay; the carriage return of a Windows line end goes. The result can be encoded as UTF-8
    and printed to a terminal. Source: ours.
    Oracle: tests/report/test_cells.py::test_visible_leaves_nothing_that_acts
    """
    return _INVISIBLE.sub(_escape, text.replace("\r\n", "\n"))


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def is_number(value: Any) -> bool:
    """True for ints and floats, not for booleans."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _decimals(value: float) -> int:
    """Decimals that show four significant digits, trailing zeros left out."""
    if isinstance(value, int) or not math.isfinite(value) or value == 0:
        return 0
    wanted = _SIGNIFICANT_DIGITS - 1 - math.floor(math.log10(abs(value)))
    exponent = Decimal(f"{value:.{max(wanted, 0)}f}").normalize().as_tuple().exponent
    return max(-exponent, 0) if isinstance(exponent, int) else 0


def number_text(value: float, *, decimals: int | None = None) -> str:
    """A number as a person reads it: four significant digits, or as many `decimals`.

    Source: ours. Oracle: tests/report/test_cells.py::test_number_reads_back
    """
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else ("∞" if value > 0 else f"{_MINUS}∞")
    if value != 0 and not 1e-5 <= abs(value) < 1e15:
        return f"{value:.{_SIGNIFICANT_DIGITS - 1}e}".replace("-", _MINUS)
    places = _decimals(value) if decimals is None else decimals
    return f"{value:.{places}f}".replace("-", _MINUS)


def interval_text(value: float, low: float, high: float) -> str:
    """`value [low, high]`, all three with the same number of decimals."""
    texts = column_texts([value, low, high])
    return f"{texts[0]} [{texts[1]}, {texts[2]}]"


def cell_text(value: Any) -> str:
    """Any JSON value in one cell; None is a dash, mappings and lists are compact JSON."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if is_number(value):
        return number_text(value)
    if isinstance(value, Mapping | list | tuple):
        return visible(json.dumps(value, ensure_ascii=False, default=str))
    return visible(str(value))


def column_texts(values: Iterable[Any]) -> list[str]:
    """The cells of one column; its numbers share their decimals where that stays short."""
    cells = list(values)
    floats = [v for v in cells if isinstance(v, float)]
    shared = max(map(_decimals, floats), default=0)
    if shared > _MOST_DECIMALS:
        return [cell_text(v) for v in cells]
    return [
        number_text(v, decimals=shared) if isinstance(v, float) else cell_text(v) for v in cells
    ]


def is_numeric_column(values: Sequence[Any]) -> bool:
    """True if the column holds numbers and, at most, gaps: it is then aligned to the right."""
    return any(map(is_number, values)) and all(v is None or is_number(v) for v in values)
