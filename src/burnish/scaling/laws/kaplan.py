"""`kaplan`: size and data under one power, without an irreducible loss."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from burnish.contracts.law import Column, Columns, PerRun, Pull, Thetas
from burnish.scaling.laws import laws
from burnish.scaling.laws.chinchilla import Chinchilla
from burnish.scaling.projection import nonnegative
from burnish.scaling.terms import TermsLaw


class KaplanSurface:
    """`power * logsumexp` over given runs; theta is (log u, log v, ratio, log power)."""

    def __init__(self, n: Column, d: Column) -> None:
        self._n, self._d = n, d

    def evaluate(self, theta: Thetas) -> tuple[PerRun, Pull]:
        """Log of the loss, and its vector-Jacobian product."""
        u, v, ratio, power = (theta[:, i, None] for i in range(4))
        size, data = u - ratio * self._n, v - self._d
        total, power = np.logaddexp(size, data), np.exp(power)
        share = np.exp(size - total)

        def pull(weights: PerRun) -> Thetas:
            parts = (
                power * share,
                power * (1 - share),
                -power * share * self._n,
                power * total,
            )
            return np.stack([(weights * part).sum(axis=1) for part in parts], axis=1)

        return power * total, pull


@laws.register("kaplan")
@dataclass(frozen=True, kw_only=True)
class Kaplan:
    """L = ((N_c / N)^(alpha_N / alpha_D) + D_c / D)^alpha_D.

    Source: Kaplan et al. 2020, arXiv 2001.08361, equation 1.5.
    Oracle: tests/scaling/test_laws.py::test_planted_parameters_are_recovered
    """

    params = ("N_c", "D_c", "alpha_N", "alpha_D")

    @property
    def columns(self) -> tuple[str, ...]:
        """Parameters and tokens."""
        return ("n", "d")

    def surface(self, columns: Columns) -> KaplanSurface:
        """The law over the runs of `columns`."""
        return KaplanSurface(np.log(columns["n"]), np.log(columns["d"]))

    def starts(self, columns: Columns, loss: Column) -> Thetas:
        """For pairs of exponents, N_c and D_c by least squares of L^(1/alpha_D)."""
        n, d = np.log(columns["n"]), np.log(columns["d"])
        pairs = np.array([(r, p) for r in (0.5, 0.8, 1.2) for p in (0.05, 0.1, 0.2, 0.4)])
        ratio, power = pairs[:, :1], pairs[:, 1:]
        logs = np.stack([-ratio * (n - n.mean()), -(d - d.mean()) + 0 * ratio], axis=-1)
        basis = np.exp(logs - (np.log(loss) / power)[..., None])
        top = basis.max(axis=1)
        amplitudes, rest = nonnegative(basis / top[:, None])
        u, v = np.log(np.maximum(amplitudes, 1e-4) / top).T
        thetas = np.stack(
            [u + ratio[:, 0] * n.mean(), v + d.mean(), ratio[:, 0], np.log(power[:, 0])], axis=1
        )
        order = np.argsort(np.maximum(rest, 0) * np.square(power[:, 0]), kind="stable")
        return thetas[order[:6]]

    def natural(self, theta: Thetas) -> Thetas:
        """N_c, D_c, alpha_N, alpha_D."""
        u, v, ratio, power = theta.T
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            return np.stack(
                [np.exp(u / ratio), np.exp(v), ratio * np.exp(power), np.exp(power)], axis=1
            )

    def theta(self, natural: Mapping[str, float]) -> np.ndarray:
        """The inverse of `natural`."""
        ratio = natural["alpha_N"] / natural["alpha_D"]
        size, data = np.log(natural["N_c"]), np.log(natural["D_c"])
        return np.array([ratio * size, data, ratio, np.log(natural["alpha_D"])])

    def allocation(self, natural: Mapping[str, float]) -> Mapping[str, float]:
        """alpha_D / (alpha_N + alpha_D), for C = 6ND."""
        return {"all": natural["alpha_D"] / (natural["alpha_N"] + natural["alpha_D"])}

    def unidentified(self, columns: Columns) -> Mapping[str, str]:
        """As for `chinchilla`, under this law's names."""
        names = {"alpha": "alpha_N", "A": "N_c", "beta": "alpha_D", "B": "D_c"}
        found = TermsLaw.unidentified(Chinchilla(), columns)
        return {names[name]: why for name, why in found.items() if name in names}
