"""The posterior is calibrated on answers of known truth, and the rates are recovered."""

from dataclasses import replace

import numpy as np
import pytest

from burnish.base.rng import stream
from burnish.curate import posterior as module
from burnish.curate.posterior import DEFAULT, Rates, estimate_rates, posterior

TRUE = Rates(prior=0.4, accuracy=0.8, false_pass=0.35, alike=0.3)


def answers(num, seed=8, tests=None, rates=TRUE):
    """Answers of known truth, and how many of their tests they pass."""
    rng = stream(seed, "quality")
    right = rng.random(num) < rates.prior
    size = 1 / rates.alike - 1
    wrong = rng.beta(rates.false_pass * size, (1 - rates.false_pass) * size, num)
    total = np.full(num, float(tests)) if tests else rng.integers(1, 13, num).astype(float)
    passed = rng.binomial(total.astype(int), np.where(right, rates.accuracy, wrong))
    return right, passed.astype(float), total


def check_calibration(supposed):
    """What is called 80% is right in 80%."""
    right, passed, total = answers(40000)
    found = posterior(passed, total, supposed)
    for low in np.arange(0, 1, 0.1):
        some = (found >= low) & (found < low + 0.1)
        if some.sum() > 300:
            assert found[some].mean() == pytest.approx(right[some].mean(), abs=0.05)


def test_the_posterior_is_calibrated():
    check_calibration(TRUE)


def test_one_chance_for_all_wrong_answers_is_not_calibrated():
    with pytest.raises(AssertionError):
        check_calibration(replace(TRUE, alike=0))


def test_a_correlation_of_almost_zero_is_a_binomial():
    counts = np.arange(6.0), np.full(6, 5.0)
    plain, near = (posterior(*counts, replace(DEFAULT, alike=a)) for a in (0.0, 1e-7))
    assert near == pytest.approx(plain, abs=1e-5)
    odds = (0.9 / 0.35) ** counts[0] * (0.1 / 0.65) ** (5 - counts[0])
    assert plain == pytest.approx(odds / (1 + odds))


def test_by_hand_with_two_tests():
    """A beta-binomial with a = b = 1 passes 0, 1 and 2 tests alike, in a third of the cases."""
    rates = Rates(prior=0.5, accuracy=0.9, false_pass=0.5, alike=1 / 3)
    found = posterior(np.arange(3.0), np.full(3, 2.0), rates)
    right = np.array([0.01, 0.18, 0.81])
    assert found == pytest.approx(right / (right + 1 / 3))


@pytest.mark.parametrize("rates", [TRUE, Rates(prior=0.6, accuracy=0.97, alike=0.05)])
def test_rates_are_recovered(rates):
    _, passed, total = answers(6000, seed=9, tests=12, rates=rates)
    found = estimate_rates(passed, total)
    assert vars(found) == pytest.approx(vars(rates), abs=0.04)


def test_estimated_rates_are_calibrated_where_tests_are_wrong():
    right, passed, total = answers(6000, seed=10, tests=12)
    found = posterior(passed, total, estimate_rates(passed, total))
    assert found.mean() == pytest.approx(right.mean(), abs=0.03)
    counts = [passed == count for count in range(13)]
    gaps = [some.mean() * abs(found[some].mean() - right[some].mean()) for some in counts]
    assert sum(gaps) < 0.05


def test_few_answers_keep_the_usual_rates():
    found = estimate_rates(np.array([3.0]), np.array([3.0]))
    assert vars(found) == pytest.approx(vars(DEFAULT), abs=0.1)
    assert module.WEIGHT == 10
