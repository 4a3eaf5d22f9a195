"""`float`: words, of which those that are numbers may differ by a tolerance."""

import math
from dataclasses import dataclass

from burnish.base.errors import SettingError
from burnish.sandbox.comparators import comparators
from burnish.sandbox.comparators.comparator import ACCEPTED, Match, shortened, wrong


@comparators.register("float")
@dataclass(frozen=True, kw_only=True)
class FloatComparator:
    """A number is right within `absolute` or within `relative` of the expected one.

    NaN is right where NaN is expected; infinities must be equal.
    Source: ours, as testlib's `doubleCompare`.
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
        ours, theirs = output.split(), expected.split()
        if len(ours) != len(theirs):
            return wrong(f"{len(ours)} tokens instead of {len(theirs)}")
        for i, (mine, other) in enumerate(zip(ours, theirs, strict=True), start=1):
            if mine != other and not self.close(_number(mine), _number(other)):
                return wrong(f"token {i} is {shortened(mine)}, not {shortened(other)}")
        return ACCEPTED

    def close(self, value: float | None, expected: float | None) -> bool:
        """Whether two numbers are one within the tolerances; None is no number."""
        if value is None or expected is None:
            return False
        if math.isnan(value) or math.isnan(expected):
            return math.isnan(value) and math.isnan(expected)
        if math.isinf(value) or math.isinf(expected):
            return value == expected
        return abs(value - expected) <= max(self.absolute, self.relative * abs(expected))


def _number(word: str) -> float | None:
    try:
        return float(word) if "_" not in word else None
    except ValueError:
        return None
