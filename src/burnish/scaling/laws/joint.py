"""`joint`: experts that change the exponents of size and data."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from burnish.contracts.law import Column, Columns
from burnish.scaling.laws import laws
from burnish.scaling.terms import Term, TermsLaw

EXPONENTS = (0.1, 0.2, 0.35, 0.6)


def saturating(experts: Column, start: float, most: float) -> Column:
    """Clark's effective number of experts: near `start` for one, at most `most`.

    Source: Clark et al. 2022, arXiv 2202.01169, equation 8.
    Oracle: tests/scaling/test_laws.py::test_saturation_ends_where_it_should
    """
    below = 1 / (1 / start - 1 / most) if np.isfinite(most) else start
    return 1 / (1 / (experts - 1 + below) + 1 / most)


@laws.register("joint")
@dataclass(frozen=True, kw_only=True)
class JointLaw(TermsLaw):
    """L = a E^-delta N^-(alpha + gamma ln E) + b E^-omega D^-(beta + zeta ln E) + sigma.

    E saturates between `e_start` and `e_max`; their published values are not available, so that by
    default E is E. Signs are ours: all exponents stand after a minus.
    Source: Ludziejewski et al. 2025, arXiv 2502.05172, equation 9.
    Oracle: tests/scaling/test_laws.py::test_planted_parameters_are_recovered
    """

    e_start: float = 1.0
    e_max: float = float("inf")

    @property
    def columns(self) -> tuple[str, ...]:
        """Parameters, tokens, experts."""
        return ("n", "d", "e")

    @property
    def terms(self) -> tuple[Term, ...]:
        """One in N and E, one in D and E."""
        size = {"alpha": "n", "delta": "experts", "gamma": "n by experts"}
        data = {"beta": "d", "omega": "experts", "zeta": "d by experts"}
        return (Term(amplitude="a", powers=size), Term(amplitude="b", powers=data))

    @property
    def grid(self) -> Mapping[str, tuple[float, ...]]:
        """Exponents in pairs, with and without an effect of experts."""
        pairs = {"alpha": EXPONENTS, "beta": EXPONENTS}
        return pairs | {"delta": (0.0, 0.2), "omega": (0.0, -0.2), "gamma": (0.0,), "zeta": (0.0,)}

    def features(self, columns: Columns) -> Mapping[str, Column]:
        """Logs and their products."""
        n, d = np.log(columns["n"]), np.log(columns["d"])
        e = np.log(saturating(columns["e"], self.e_start, self.e_max))
        return {"n": n, "d": d, "experts": e, "n by experts": n * e, "d by experts": d * e}

    def allocation(self, natural: Mapping[str, float]) -> Mapping[str, float]:
        """Of dense models, and of models with eight experts."""
        found = {}
        for name, experts in (("dense", 1.0), ("e8", 8.0)):
            e = float(np.log(saturating(np.array([experts]), self.e_start, self.e_max))[0])
            alpha = natural["alpha"] + natural["gamma"] * e
            beta = natural["beta"] + natural["zeta"] * e
            found[name] = beta / (alpha + beta)
        return found
