"""Gates: tests with a declared margin and three outcomes."""

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


def not_longer(change_frac: Estimate, *, margin: float) -> Gate:
    """Answers did not get longer by more than the margin (a fraction of the length before)."""
    shorter = Estimate(
        value=-change_frac.value, low=-change_frac.high, high=-change_frac.low, n=change_frac.n
    )
    return gate(
        "not longer",
        shorter,
        margin=margin,
        unit="fraction of length",
        meaning="Tokens saved per held-out answer, as a fraction of the length before",
    )
