"""`float`: words, of which those that are numbers may differ by a tolerance."""

import decimal
import math
import re
from dataclasses import dataclass
from decimal import Decimal

from burnish.base.errors import SettingError
from burnish.sandbox.comparators import comparators
from burnish.sandbox.comparators.comparator import ACCEPTED, Match, shortened, words, wrong

_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NAMED = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_EXACT = decimal.Context(  # what passes the range of a float keeps its value
    prec=60, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN, traps=[decimal.InvalidOperation]
)
SAFE = 1e300  # floats below it, and their differences, do not overflow


@comparators.register("float")
@dataclass(frozen=True, kw_only=True)
class FloatComparator:
    """A number is right within `absolute` or within `relative` of the expected one.

    Two integers are compared exactly, and only `absolute` is granted to them: a count that is
    wrong by one is wrong, however large. NaN is right where NaN is expected; infinities must be
    equal, and a number is none however large it is.
    Source: ours, as testlib's `doubleCompare`. Departure: integers.
    Oracle: tests/sandbox/test_comparators.py::test_planted_truth
    """

    absolute: float = 1e-6
    relative: float = 1e-6

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value < math.inf:
                rule, remedy = "must not be negative", "Name a small number, such as 1e-6"
                raise SettingError(f"float.{name}", value, rule, remedy=remedy)

    def compare(self, output: str, expected: str, stdin: str) -> Match:
        """Compare word by word."""
        ours, theirs = words(output), words(expected)
        if len(ours) != len(theirs):
            return wrong(f"{len(ours)} tokens instead of {len(theirs)}")
        for i, (mine, other) in enumerate(zip(ours, theirs, strict=True), start=1):
            if mine != other and not self.close(mine, other):
                return wrong(f"token {i} is {shortened(mine)}, not {shortened(other)}")
        return ACCEPTED

    def close(self, word: str, expected: str) -> bool:
        """Whether two words are numbers that are equal within the tolerances."""
        if _NAMED.fullmatch(word) and _NAMED.fullmatch(expected):
            value, other = float(word), float(expected)
            return value == other or (math.isnan(value) and math.isnan(other))
        if not _NUMBER.fullmatch(word) or not _NUMBER.fullmatch(expected):
            return False
        both_whole = _INTEGER.fullmatch(word) and _INTEGER.fullmatch(expected)
        relative = 0.0 if both_whole else self.relative
        value, other = float(word), float(expected)
        if not both_whole and max(abs(value), abs(other)) < SAFE:
            return abs(value - other) <= max(self.absolute, relative * abs(other))
        return self._close_exactly(word, expected, relative)

    def _close_exactly(self, word: str, expected: str, relative: float) -> bool:
        try:
            mine, other, context = Decimal(word), Decimal(expected), _EXACT.copy()
            context.prec += max(len(word), len(expected))
            allowed = context.multiply(Decimal(relative), other.copy_abs())
            gap = context.subtract(mine, other).copy_abs()
            return gap <= max(Decimal(self.absolute), allowed)
        except decimal.DecimalException:
            return False  # an exponent beyond all reason: no number
