"""pass@k against enumeration."""

import itertools

import numpy as np
import pytest

from burnish.base.errors import SettingError
from burnish.sandbox.passk import measure_pass_at_k, pass_at_k


def check_enumeration(estimate):
    for n in range(1, 8):
        for c, k in itertools.product(range(n + 1), range(1, n + 1)):
            draws = list(itertools.combinations([i < c for i in range(n)], k))
            truth = sum(map(any, draws)) / len(draws)
            assert estimate(n, c, k=k) == pytest.approx(truth, abs=1e-12), (n, c, k)


def test_equals_enumeration():
    check_enumeration(pass_at_k)


def test_planted_biased_estimate():
    with pytest.raises(AssertionError):
        check_enumeration(lambda n, c, *, k: 1 - (1 - c / n) ** k)


@pytest.mark.parametrize(("n", "c", "k"), [(3, 1, 4), (3, 1, 0), (3, 4, 1), (3, -1, 1)])
def test_impossible_counts_are_refused(n, c, k):
    with pytest.raises(SettingError):
        pass_at_k(n, c, k=k)


def test_the_mean_has_an_interval():
    found = measure_pass_at_k([(4, 4), (4, 0), (4, 2)], k=1, rng=np.random.default_rng(0))
    assert found.value == pytest.approx(0.5)
    assert found.low < 0.5 < found.high
    assert found.n == 3
