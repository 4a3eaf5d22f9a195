"""pass@k without bias."""

import math
from collections.abc import Sequence

import numpy as np

from burnish.base.errors import SettingError
from burnish.base.stats import Estimate, bootstrap


def pass_at_k(num_samples: int, num_right: int, *, k: int) -> float:
    """Probability that at least one of `k` samples, drawn from the given ones, is right.

    Raises: SettingError.
    Source: Chen et al. 2021, arXiv 2107.03374, equation 1: 1 - C(n-c, k) / C(n, k).
    Oracle: tests/sandbox/test_passk.py::test_equals_enumeration
    """
    if not 1 <= k <= num_samples:
        remedy = "Draw more samples or ask for a smaller k"
        raise SettingError("k", k, f"must lie in [1, {num_samples}]", remedy=remedy)
    if not 0 <= num_right <= num_samples:
        rule = f"must lie in [0, {num_samples}]"
        raise SettingError("num_right", num_right, rule, remedy="Check the counts")
    return 1.0 - math.comb(num_samples - num_right, k) / math.comb(num_samples, k)


def measure_pass_at_k(
    counts: Sequence[tuple[int, int]], *, k: int, rng: np.random.Generator
) -> Estimate:
    """Mean pass@k over problems, each given as (samples, right ones), with its interval.

    Raises: SettingError.
    """
    return bootstrap([pass_at_k(n, c, k=k) for n, c in counts], rng=rng)
