"""`three-term`: data split into steps and batch."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from burnish.contracts.law import Column, Columns
from burnish.scaling.laws import laws
from burnish.scaling.terms import Term, TermsLaw

EXPONENTS = (0.1, 0.2, 0.35, 0.6)


@laws.register("three-term")
@dataclass(frozen=True, kw_only=True)
class ThreeTerm(TermsLaw):
    """L = A / N^alpha + B / S^beta + C / T^gamma + sigma: S = D/T steps, T tokens in a batch.

    Runs at any batch tell the best one: T_opt = (gamma C D^beta / (beta B))^(1/(beta + gamma)).
    Source: Schaipp 2026, arXiv 2607.01487, reconstruction: that there are three terms, and that
    sub-optimal runs tell T_opt, is all that could be read.
    Oracle: tests/scaling/test_laws.py::test_best_batch_is_the_minimum
    """

    @property
    def columns(self) -> tuple[str, ...]:
        """Parameters, tokens, tokens in a batch."""
        return ("n", "d", "batch")

    @property
    def terms(self) -> tuple[Term, ...]:
        """Size, steps, batch."""
        return (
            Term(amplitude="A", powers={"alpha": "n"}),
            Term(amplitude="B", powers={"beta": "steps"}),
            Term(amplitude="C", powers={"gamma": "batch"}),
        )

    @property
    def grid(self) -> Mapping[str, tuple[float, ...]]:
        """All triples."""
        return {"alpha": EXPONENTS, "beta": EXPONENTS, "gamma": EXPONENTS}

    def features(self, columns: Columns) -> Mapping[str, Column]:
        """Logs."""
        n, d, batch = (np.log(columns[name]) for name in self.columns)
        return {"n": n, "steps": d - batch, "batch": batch}

    def allocation(self, natural: Mapping[str, float]) -> Mapping[str, float]:
        """With the best batch, loss falls in D with the exponent beta gamma / (beta + gamma)."""
        beta = natural["beta"] * natural["gamma"] / (natural["beta"] + natural["gamma"])
        return {"all": beta / (natural["alpha"] + beta)}

    def best_batch(self, natural: Mapping[str, float], tokens: Column) -> Column:
        """The batch [tokens] of least loss for given training tokens."""
        beta, gamma = natural["beta"], natural["gamma"]
        ratio = gamma * natural["C"] * tokens**beta / (beta * natural["B"])
        return ratio ** (1 / (beta + gamma))
