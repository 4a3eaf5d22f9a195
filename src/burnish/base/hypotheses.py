"""Exact p-values for paired outcomes, and their correction for asking several questions."""

import math
from collections.abc import Sequence

import numpy as np

from burnish.base.errors import SettingError


def sign_test(differences: Sequence[float] | np.ndarray) -> float:
    """Two-sided p-value that positive and negative differences are equally likely.

    Zeros are left out; without any difference the p-value is 1.
    Source: exact binomial test (Dixon & Mood 1946).
    Oracle: tests/base/test_hypotheses.py::test_exact_tests_equal_scipy
    """
    values = np.asarray(differences, dtype=float)
    if values.size == 0:
        remedy = "Measure something first"
        raise SettingError("differences", [], "must contain at least one number", remedy=remedy)
    if np.isnan(values).any():
        remedy = "Leave out what could not be scored, and report how many"
        raise SettingError("differences", math.nan, "must be numbers", remedy=remedy)
    ups, downs = int((values > 0).sum()), int((values < 0).sum())
    num_moved, term, tail = ups + downs, 1, 1
    for k in range(min(ups, downs)):  # integers: exact for any count
        term = term * (num_moved - k) // (k + 1)
        tail += term
    return min(1.0, 2 * tail / 2**num_moved)


def holm(pvalues: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the order given; below alpha they hold for the whole family.

    Source: Holm 1979, step-down Bonferroni.
    Oracle: tests/base/test_hypotheses.py::test_holm_equals_hand_computed_values
    """
    for p in pvalues:
        if not 0 <= p <= 1:
            raise SettingError("p-value", p, "must lie in [0, 1]", remedy="Leave out failed tests")
    order = sorted(range(len(pvalues)), key=lambda i: pvalues[i])
    adjusted, highest = [0.0] * len(pvalues), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, (len(pvalues) - rank) * pvalues[index])
        adjusted[index] = min(1.0, highest)
    return adjusted
