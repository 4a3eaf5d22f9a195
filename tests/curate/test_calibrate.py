"""Rates of known distributions; q-values by their definition."""

import numpy as np
import pytest

from burnish.base.rng import stream
from burnish.curate import calibrate
from burnish.curate.calibrate import Background, Null, discovery_rates, gram_weights


def check_rates():
    """The largest of many scores, with a fiftieth of the rows replaced by leaks."""
    rng = stream(1, "null")
    best = rng.normal(size=(6000, 150)).max(axis=1)
    best[:120] += 9
    null = Null.of(best)
    fresh = rng.normal(size=(20000, 150)).max(axis=1)
    for rate in (0.05, 0.01):
        assert rate / 3 <= (fresh > null.threshold(rate)).mean() <= 1.5 * rate
        assert null.chance(np.array([null.threshold(rate)]))[0] == pytest.approx(rate)


def test_rates_of_a_known_null():
    check_rates()


def test_planted_quantile_of_a_contaminated_pool(monkeypatch):
    """The pool's own 99% quantile lies among its leaks."""

    def of(best):
        return calibrate.Null(float(np.quantile(best, 0.99)), 1e-6)

    monkeypatch.setattr(Null, "of", of)
    with pytest.raises(AssertionError):
        check_rates()


def test_q_values():
    chances = np.array([0.04, 0.001, 0.03, 0.9, 0.002])
    num = len(chances)
    by_definition = [
        min(min(num * c / (chances <= c).sum() for c in chances if c >= mine), 1.0)
        for mine in chances
    ]
    assert discovery_rates(chances) == pytest.approx(by_definition)


def test_a_leak_of_one_item_does_not_move_another():
    rng = stream(2, "shares")
    shares = rng.beta(9, 40, size=(1001, 3))
    before = Background.of(shares)
    shares[:2, 0] = 1.0
    after = Background.of(shares)
    assert (before.high[1:] == after.high[1:]).all()
    excess = after.excess(shares)[:, 0]
    assert excess[0] > 1 > excess[2:].max()


def test_weights_of_small_pools():
    rare, common = gram_weights(np.array([0.0, 4.0]), 4, 20.0)
    assert rare > common > 0
    assert gram_weights(np.array([10.0]), 10, 0.0)[0] == 0
