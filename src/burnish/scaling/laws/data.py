"""`data`: loss in tokens alone."""

from collections.abc import Mapping
from dataclasses import dataclass

from burnish.scaling.laws import laws
from burnish.scaling.terms import Term, TermsLaw

EXPONENTS = (0.03, 0.06, 0.12, 0.2, 0.3, 0.5, 0.8)


@laws.register("data")
@dataclass(frozen=True, kw_only=True)
class DataLaw(TermsLaw):
    """L = A / D^alpha + sigma; for runs of one size.

    Source: Hestness et al. 2017, arXiv 1712.00409.
    Oracle: tests/scaling/test_laws.py::test_planted_parameters_are_recovered
    """

    @property
    def columns(self) -> tuple[str, ...]:
        """Tokens alone."""
        return ("d",)

    @property
    def terms(self) -> tuple[Term, ...]:
        """One."""
        return (Term(amplitude="A", powers={"alpha": "d"}),)

    @property
    def grid(self) -> Mapping[str, tuple[float, ...]]:
        """Seven exponents."""
        return {"alpha": EXPONENTS}
