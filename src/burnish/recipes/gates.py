"""Gates: tests with a declared margin and three outcomes."""

from dataclasses import replace

from burnish.base.stats import Estimate, decide
from burnish.contracts.record import Gate

SAYS = {
    "pass": "The whole interval lies inside the margin",
    "fail": "The whole interval lies outside the margin",
    "undetermined": "The interval straddles the margin",
}


def gate(name: str, estimate: Estimate, *, margin: float, unit: str, meaning: str) -> Gate:
    """Test whether a quantity, oriented so that larger is better, lies above `-margin`.

    Source: non-inferiority by confidence interval; superiority where the margin is 0.
    Oracle: tests/recipes/test_gates.py::test_three_outcomes
    """
    outcome, n_to_decide = decide(estimate, margin=margin)
    return Gate(
        name=name,
        outcome=outcome,
        margin=margin,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        n=estimate.n,
        unit=unit,
        sentence=f"{meaning}. {SAYS[outcome]}.",
        n_to_decide=n_to_decide,
    )


def better(gain: Estimate, *, margin: float) -> Gate:
    """Accuracy on held-out tasks rose."""
    return gate(
        "better",
        gain,
        margin=margin,
        unit="accuracy",
        meaning="Held-out accuracy after minus before, paired over tasks",
    )


def not_longer(
    change_frac: Estimate, *, margin: float, num_newly_cut: int = 0, num_newly_ended: int = 0
) -> Gate:
    """Answers did not get longer by more than the margin (a fraction of the length before).

    An answer that was cut at the token cap is at least that long, so where more answers are cut
    than before the change is only a lower bound, and the gate cannot pass.
    Source: ours. Oracle: tests/recipes/test_gates.py::test_cut_answers_cannot_pass_as_short
    """
    shorter = Estimate(
        value=-change_frac.value, low=-change_frac.high, high=-change_frac.low, n=change_frac.n
    )
    found = gate(
        "not longer",
        shorter,
        margin=margin,
        unit="fraction of length",
        meaning="Tokens saved per held-out answer, as a fraction of the length before",
    )
    why = (
        f"{num_newly_cut} answers are newly cut at the token cap ({num_newly_ended} no longer): "
        "they are at least that long"
    )
    return doubted(found, why) if num_newly_cut > num_newly_ended else found


def doubted(found: Gate, why: str) -> Gate:
    """A gate that cannot pass on this measurement; one that fails does so all the same."""
    outcome = "undetermined" if found.outcome == "pass" else found.outcome
    return replace(found, outcome=outcome, sentence=f"{found.sentence} {why}.")
