"""`gadre`: loss of over-trained models, with one exponent for size and data."""

from collections.abc import Mapping
from dataclasses import dataclass

from burnish.scaling.laws import laws
from burnish.scaling.terms import Term, TermsLaw

EXPONENTS = (0.05, 0.1, 0.2, 0.3, 0.45, 0.65, 0.9)


@laws.register("gadre")
@dataclass(frozen=True, kw_only=True)
class Gadre(TermsLaw):
    """L = A / N^eta + B / D^eta + sigma: at a constant ratio M = D / N a power law in compute.

    Source: Gadre et al. 2024, arXiv 2403.08540, equation 4, in N and D instead of C and M.
    Oracle: tests/scaling/test_published_data.py::test_gadre_predictions
    """

    @property
    def columns(self) -> tuple[str, ...]:
        """Parameters and tokens."""
        return ("n", "d")

    @property
    def terms(self) -> tuple[Term, ...]:
        """Both with the exponent eta."""
        return (Term(amplitude="A", powers={"eta": "n"}), Term(amplitude="B", powers={"eta": "d"}))

    @property
    def grid(self) -> Mapping[str, tuple[float, ...]]:
        """Seven exponents."""
        return {"eta": EXPONENTS}

    def allocation(self, natural: Mapping[str, float]) -> Mapping[str, float]:
        """One half: with one exponent, size and data grow alike."""
        return {"all": 0.5}
