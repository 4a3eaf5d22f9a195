"""`routed`: size and experts at a fixed amount of data."""

from collections.abc import Mapping
from dataclasses import dataclass

from burnish.scaling.laws import laws
from burnish.scaling.terms import Term, TermsLaw


@laws.register("routed")
@dataclass(frozen=True, kw_only=True)
class RoutedLaw(TermsLaw):
    """L = A / (N^alpha E^gamma) + sigma: the law of experts where all runs saw the same tokens.

    Source: arXiv 2410.05661, reconstruction, without its term in D.
    Oracle: tests/scaling/test_published_data.py::test_the_experts_term_extrapolates
    """

    @property
    def columns(self) -> tuple[str, ...]:
        """Parameters and experts."""
        return ("n", "e")

    @property
    def terms(self) -> tuple[Term, ...]:
        """One."""
        return (Term(amplitude="A", powers={"alpha": "n", "gamma": "e"}),)

    @property
    def grid(self) -> Mapping[str, tuple[float, ...]]:
        """All pairs."""
        return {"alpha": (0.06, 0.12, 0.2, 0.35, 0.6), "gamma": (0.0, 0.05, 0.1, 0.2, 0.4)}
