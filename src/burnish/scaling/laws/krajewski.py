"""`krajewski`: fine-grained experts."""

from collections.abc import Mapping
from dataclasses import dataclass

from burnish.scaling.laws import laws
from burnish.scaling.terms import Term, TermsLaw

EXPONENTS = (0.1, 0.2, 0.35, 0.6)


@laws.register("krajewski")
@dataclass(frozen=True, kw_only=True)
class Krajewski(TermsLaw):
    """L = (g / G^gamma + a) / N^alpha + b / D^beta + sigma, G the granularity of the experts.

    Source: Krajewski et al. 2024, arXiv 2402.07871, equation 9 (recalled).
    Oracle: tests/scaling/test_laws.py::test_planted_parameters_are_recovered
    """

    @property
    def columns(self) -> tuple[str, ...]:
        """Parameters, tokens, granularity."""
        return ("n", "d", "granularity")

    @property
    def terms(self) -> tuple[Term, ...]:
        """Two in N with one exponent, one in D."""
        return (
            Term(amplitude="g", powers={"alpha": "n", "gamma": "granularity"}),
            Term(amplitude="a", powers={"alpha": "n"}),
            Term(amplitude="b", powers={"beta": "d"}),
        )

    @property
    def grid(self) -> Mapping[str, tuple[float, ...]]:
        """All triples."""
        return {"alpha": EXPONENTS, "beta": EXPONENTS, "gamma": (0.2, 0.5, 1.0)}
