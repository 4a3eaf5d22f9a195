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
        raise SettingError("differences", [], "must hold at least one number", remedy=remedy)
    if np.isnan(values).any():
        remedy = "Leave out what could not be scored, and report how many"
        raise SettingError("differences", math.nan, "must be numbers", remedy=remedy)
    ups, downs = int((values > 0).sum()), int((values < 0).sum())
    num_moved, term, tail = ups + downs, 1, 1
    for k in range(min(ups, downs)):  # integers: exact for any count
        term = term * (num_moved - k) // (k + 1)
        tail += term
    return min(1.0, 2 * tail / 2**num_moved)


def mcnemar(before: Sequence[float] | np.ndarray, after: Sequence[float] | np.ndarray) -> float:
    """Two-sided p-value that 0/1 outcomes of the same tasks changed for better or worse alike.

    Source: McNemar 1947, in its exact binomial form.
    Oracle: tests/base/test_hypotheses.py::test_exact_tests_equal_scipy
    """
    old, new = np.asarray(before, dtype=float), np.asarray(after, dtype=float)
    if old.shape != new.shape:
        rule = f"must hold as many values as before ({old.size})"
        raise SettingError("after", new.size, rule, remedy="Pair by task first")
    for name, values in (("before", old), ("after", new)):
        odd = values[~np.isin(values, (0.0, 1.0))]
        if odd.size:
            remedy = "Use sign_test for other numbers"
            raise SettingError(name, float(odd[0]), "must hold only 0 and 1", remedy=remedy)
    return sign_test(new - old)


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
