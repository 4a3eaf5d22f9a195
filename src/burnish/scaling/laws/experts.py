"""`experts`: dense and mixture-of-experts models in one law."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from burnish.contracts.law import Column, Columns, Thetas
from burnish.scaling.laws import laws
from burnish.scaling.terms import Term, TermsLaw

EXPONENTS = (0.1, 0.2, 0.3, 0.5, 0.8)


@laws.register("experts")
@dataclass(frozen=True, kw_only=True)
class ExpertsLaw(TermsLaw):
    """L = A / (N^alpha X^gamma) + B / D^beta + sigma, N without embeddings and active experts only.

    X is E, or E/k (`variable`); dense runs have X = 1. With `families=separate` alpha, beta and
    both amplitudes are free for each family, so that allocation exponents can differ; with shared
    exponents a = beta / (alpha + beta) is the same for every E.
    Source: arXiv 2410.05661, reconstruction: the equation is known from two summaries only.
    Departure: E/k is ours; raw E is the paper's and fails where k varies.
    Oracle: tests/scaling/test_laws.py::test_one_expert_is_chinchilla
    """

    variable: Literal["e", "e_over_k"] = "e_over_k"
    families: Literal["shared", "separate"] = "shared"

    @property
    def columns(self) -> tuple[str, ...]:
        """Parameters, tokens, experts, and experts used for each token."""
        return ("n", "d", "e", "k") if self.variable == "e_over_k" else ("n", "d", "e")

    @property
    def terms(self) -> tuple[Term, ...]:
        """One in N and X, one in D."""
        if self.families == "shared":
            size, data = {"alpha": "n", "gamma": "experts"}, {"beta": "d"}
        else:
            size = {"alpha": "dense n", "alpha_moe": "MoE n", "gamma": "experts", "gap_n": "MoE"}
            data = {"beta": "dense d", "beta_moe": "MoE d", "gap_d": "MoE"}
        return (Term(amplitude="A", powers=size), Term(amplitude="B", powers=data))

    @property
    def grid(self) -> Mapping[str, tuple[float, ...]]:
        """All pairs of exponents with three of gamma."""
        grid = {"alpha": EXPONENTS, "beta": EXPONENTS, "gamma": (0.0, 0.1, 0.3)}
        if self.families == "shared":
            return grid
        return {}  # begins from the shared law

    def features(self, columns: Columns) -> Mapping[str, Column]:
        """Logs; in the separate law each family has its own, centred where the gap is read."""
        n, d = np.log(columns["n"]), np.log(columns["d"])
        share = columns["e"] / columns["k"] if self.variable == "e_over_k" else columns["e"]
        moe = (columns["e"] > 1).astype(float)
        found = {"n": n, "d": d, "experts": np.log(share)}
        families = {"dense n": n * (1 - moe), "MoE n": n * moe, "MoE": moe}
        return found | families | {"dense d": d * (1 - moe), "MoE d": d * moe}

    def starts(self, columns: Columns, loss: Column) -> Thetas:
        """Variable projection; for the separate law, that of the shared one in both families."""
        if self.families == "shared":
            return super().starts(columns, loss)
        shared = ExpertsLaw(variable=self.variable)
        found = []
        for theta in shared.starts(columns, loss):
            known = dict(zip(shared.params, theta, strict=True))
            known |= {"alpha_moe": known["alpha"], "beta_moe": known["beta"]}
            found.append([known.get(name, 0.0) for name in self.params])
        return np.array(found)

    def allocation(self, natural: Mapping[str, float]) -> Mapping[str, float]:
        """One exponent, or one for each family."""
        shared = super().allocation(natural)
        if self.families == "shared" or not shared:
            return shared
        moe = {"alpha": natural["alpha_moe"], "beta": natural["beta_moe"]}
        return {"dense": shared["all"], "moe": super().allocation(moe)["all"]}
