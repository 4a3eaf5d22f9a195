"""Gates by hand: which side of the margin an interval lies on."""

from collections.abc import Callable

import pytest

from burnish.base.stats import Estimate
from burnish.contracts.record import Gate
from burnish.recipes import gates
from burnish.recipes.gates import better, not_longer


def estimate(low: float, high: float, n: int = 100) -> Estimate:
    return Estimate(value=(low + high) / 2, low=low, high=high, n=n)


def check_outcomes(make: Callable[..., Gate]) -> None:
    """Interval, margin, outcome; the margin itself is inside neither."""
    table = [
        (0.01, 0.09, 0.0, "pass"),
        (-0.02, 0.09, 0.0, "undetermined"),
        (0.0, 0.09, 0.0, "undetermined"),
        (-0.09, -0.01, 0.0, "fail"),
        (-0.04, 0.02, 0.05, "pass"),
        (-0.06, 0.02, 0.05, "undetermined"),
        (-0.09, -0.06, 0.05, "fail"),
    ]
    for low, high, margin, outcome in table:
        gate = make("g", estimate(low, high), margin=margin, unit="u", meaning="M")
        assert gate.outcome == outcome, (low, high, margin)
        assert (gate.low, gate.high, gate.n, gate.margin) == (low, high, 100, margin)
        assert (gate.n_to_decide is None) == (outcome != "undetermined")
        assert gate.n_to_decide is None or gate.n_to_decide > 100
        assert gate.sentence.startswith("M. The ")


def test_three_outcomes() -> None:
    check_outcomes(gates.gate)


def test_planted_value_decides_instead_of_the_interval() -> None:
    def mutant(name: str, given: Estimate, **words: object) -> Gate:
        point = Estimate(value=given.value, low=given.value, high=given.value, n=given.n)
        return gates.gate(name, point, **words)

    with pytest.raises(AssertionError):
        check_outcomes(mutant)


def test_planted_margin_of_the_other_sign() -> None:
    def mutant(name: str, given: Estimate, *, margin: float, unit: str, meaning: str) -> Gate:
        moved = Estimate(
            value=given.value, low=given.low - 2 * margin, high=given.high - 2 * margin, n=given.n
        )
        return gates.gate(name, moved, margin=margin, unit=unit, meaning=meaning)

    with pytest.raises(AssertionError):
        check_outcomes(mutant)


def test_n_to_decide_shrinks_the_interval_to_the_margin() -> None:
    gate = better(Estimate(value=0.02, low=-0.02, high=0.06, n=100), margin=0.0)
    assert gate.n_to_decide == 401  # half as wide at four times as many


def test_better_looks_upwards() -> None:
    assert better(estimate(0.1, 0.2), margin=0.0).outcome == "pass"
    assert better(estimate(-0.2, -0.1), margin=0.0).outcome == "fail"


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [(-0.5, 0.09, "pass"), (0.05, 0.15, "undetermined"), (0.11, 0.3, "fail")],
)
def test_not_longer_looks_downwards(low: float, high: float, outcome: str) -> None:
    gate = not_longer(estimate(low, high), margin=0.1)
    assert gate.outcome == outcome
    assert (gate.low, gate.high) == (-high, -low)


@pytest.mark.parametrize(
    ("low", "high", "cut", "ended", "outcome"),
    [
        (-0.5, 0.05, 3, 2, "undetermined"),
        (-0.5, 0.05, 2, 2, "pass"),
        (-0.5, 0.05, 0, 4, "pass"),
        (0.11, 0.3, 3, 0, "fail"),
    ],
)
def test_cut_answers_cannot_pass_as_short(
    low: float, high: float, cut: int, ended: int, outcome: str
) -> None:
    gate = not_longer(estimate(low, high), margin=0.1, num_newly_cut=cut, num_newly_ended=ended)
    assert gate.outcome == outcome
    assert ("newly cut" in gate.sentence) == (cut > ended)


def test_one_newly_cut_answer_is_enough_to_doubt() -> None:
    gate = not_longer(estimate(-0.5, 0.05), margin=0.1, num_newly_cut=1)
    assert gate.outcome == "undetermined"
    assert "1 answers are newly cut at the token cap (0 no longer)" in gate.sentence
