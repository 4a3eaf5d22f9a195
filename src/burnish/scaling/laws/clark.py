"""`clark`: routed models at a fixed amount of data."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from burnish.contracts.law import Column, Columns, PerRun, Pull, Thetas
from burnish.scaling.laws import laws
from burnish.scaling.laws.joint import saturating

LN10 = float(np.log(10))


class ClarkSurface:
    """Bilinear in log N and the log of saturating E, which depends on the last two parameters."""

    def __init__(self, n: Column, e: Column) -> None:
        self._n, self._e = np.log10(n), e

    def evaluate(self, theta: Thetas) -> tuple[PerRun, Pull]:
        """Log of the loss, and its vector-Jacobian product."""
        a, b, c, d, start, most = (theta[:, i, None] for i in range(6))
        n = self._n[None]
        # with u = 1/start - 1/most the effective number is 1 / (1/(e - 1 + 1/u) + 1/most)
        u, top = np.exp(start), np.exp(most)
        below = self._e[None] - 1 + 1 / u
        inverse = 1 / below + top
        e = -np.log10(inverse)
        slope = (b + c * n) * -1 / (inverse * LN10)

        def pull(weights: PerRun) -> Thetas:
            parts = (n + 0 * a, e, e * n, 1 + 0 * e, slope / below**2 / u, slope * top)
            return LN10 * np.stack([(weights * part).sum(axis=1) for part in parts], axis=1)

        return LN10 * (a * n + b * e + c * e * n + d), pull


@laws.register("clark")
@dataclass(frozen=True, kw_only=True)
class Clark:
    """log10 L = a n + b e + c n e + d: n is log10 N, e log10 of E between E_start and E_max.

    Source: Clark et al. 2022, arXiv 2202.01169, equations 7 and 8.
    Oracle: tests/scaling/test_published_data.py::test_clark_coefficients
    """

    params = ("a", "b", "c", "d", "E_start", "E_max")

    @property
    def columns(self) -> tuple[str, ...]:
        """Parameters and experts."""
        return ("n", "e")

    def surface(self, columns: Columns) -> ClarkSurface:
        """The law over the runs of `columns`."""
        return ClarkSurface(columns["n"], columns["e"])

    def starts(self, columns: Columns, loss: Column) -> Thetas:
        """Least squares of the four linear parameters on a grid of the two others."""
        n, found = np.log10(columns["n"]), []
        for start in (1.02, 1.5, 3.0, 6.0):
            for most in (100.0, 300.0, 1000.0):
                e = np.log10(saturating(columns["e"], start, most))
                basis = np.stack([n, e, n * e, np.ones_like(n)], axis=1)
                linear, *_ = np.linalg.lstsq(basis, np.log10(loss), rcond=None)
                error = np.square(basis @ linear - np.log10(loss)).sum()
                found.append((error, [*linear, np.log(1 / start - 1 / most), -np.log(most)]))
        found.sort(key=lambda pair: pair[0])
        return np.array([theta for _, theta in found[:6]])

    def natural(self, theta: Thetas) -> Thetas:
        """Parameters with the two ends of E themselves."""
        most = np.exp(theta[:, 5])
        start = 1 / (np.exp(theta[:, 4]) + most)
        return np.concatenate([theta[:, :4], start[:, None], 1 / most[:, None]], axis=1)

    def theta(self, natural: Mapping[str, float]) -> np.ndarray:
        """The inverse of `natural`."""
        linear = [natural[name] for name in self.params[:4]]
        most = natural["E_max"]
        return np.array([*linear, np.log(1 / natural["E_start"] - 1 / most), -np.log(most)])

    def allocation(self, natural: Mapping[str, float]) -> Mapping[str, float]:
        """None: the law holds at one amount of data."""
        return {}

    def unidentified(self, columns: Columns) -> Mapping[str, str]:
        """Parameters that too few sizes or numbers of experts cannot identify."""
        found = {}
        if len(np.unique(columns["n"])) < 2:
            found |= {"a": "n takes one value only", "c": "n takes one value only"}
        if (values := len(np.unique(columns["e"]))) < 4:
            why = f"e takes {values} values only"
            found |= {name: why for name in ("b", "c", "E_start", "E_max")}
        return found
