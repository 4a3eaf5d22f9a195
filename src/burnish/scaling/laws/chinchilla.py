"""`chinchilla`: loss in parameters and tokens."""

from collections.abc import Mapping
from dataclasses import dataclass

from burnish.scaling.laws import laws
from burnish.scaling.terms import Term, TermsLaw

EXPONENTS = (0.1, 0.2, 0.3, 0.45, 0.65, 0.9)


@laws.register("chinchilla")
@dataclass(frozen=True, kw_only=True)
class Chinchilla(TermsLaw):
    """L = A / N^alpha + B / D^beta + sigma.

    Source: Hoffmann et al. 2022, arXiv 2203.15556, equation 2.
    Oracle: tests/scaling/test_published_data.py::test_epoch_objective
    """

    @property
    def columns(self) -> tuple[str, ...]:
        """Parameters and tokens."""
        return ("n", "d")

    @property
    def terms(self) -> tuple[Term, ...]:
        """One in N, one in D."""
        return (
            Term(amplitude="A", powers={"alpha": "n"}),
            Term(amplitude="B", powers={"beta": "d"}),
        )

    @property
    def grid(self) -> Mapping[str, tuple[float, ...]]:
        """Thirty-six pairs."""
        return {"alpha": EXPONENTS, "beta": EXPONENTS}
