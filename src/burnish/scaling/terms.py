"""Laws that are sums of power terms and an offset, as log-sum-exp of linear terms."""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from burnish.contracts.law import Column, Columns, PerRun, Pull, Thetas
from burnish.scaling.projection import nonnegative

MOST_STARTS = 6
SMALLEST_SHARE = 1e-4  # of the loss, for a term whose amplitude the projection puts at zero
LEAST_VALUES = 3  # of a column, to tell a power from an offset
PROPORTIONAL = 1e-6  # relative distance from an affine relation that still counts as one


@dataclass(frozen=True, kw_only=True)
class Term:
    """`amplitude * exp(-sum of exponent * feature)`; `powers` maps exponents to features."""

    amplitude: str
    powers: Mapping[str, str]


class TermsSurface:
    """A sum of terms over given runs.

    Source: Hoffmann et al. 2022 (arXiv 2203.15556), appendix D.3, with an analytic gradient.
    Oracle: tests/scaling/test_terms.py::test_gradient_equals_differences
    """

    def __init__(self, design: np.ndarray) -> None:
        self._shape = design.shape  # terms, runs, params
        self._flat = np.ascontiguousarray(design.reshape(-1, design.shape[2]))

    def evaluate(self, theta: Thetas) -> tuple[PerRun, Pull]:
        """Log of the sum, and its vector-Jacobian product."""
        num_terms, num_runs, _ = self._shape
        logs = (theta @ self._flat.T).reshape(len(theta), num_terms, num_runs)
        top = logs.max(axis=1)
        shares = np.exp(logs - top[:, None])
        total = shares.sum(axis=1)
        shares /= total[:, None]

        def pull(weights: PerRun) -> Thetas:
            weighted = shares * weights[:, None]
            return weighted.reshape(-1, num_terms * num_runs) @ self._flat

        return top + np.log(total), pull


class TermsLaw(ABC):
    """A law of `Term`s. Subclasses are frozen dataclasses; `sigma` is the irreducible loss."""

    offset = "sigma"  # "" for a law without one

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """The columns that the law reads."""

    @property
    @abstractmethod
    def terms(self) -> tuple[Term, ...]:
        """The power terms."""

    @property
    @abstractmethod
    def grid(self) -> Mapping[str, tuple[float, ...]]:
        """Values of each exponent from which the search begins."""

    def features(self, columns: Columns) -> Mapping[str, Column]:
        """Features by name; here the log of each column."""
        return {name: np.log(columns[name]) for name in self.columns}

    @cached_property
    def params(self) -> tuple[str, ...]:
        """Amplitudes, exponents, then the offset."""
        amplitudes = [term.amplitude for term in self.terms]
        exponents = dict.fromkeys(name for term in self.terms for name in term.powers)
        return (*amplitudes, *exponents, *([self.offset] if self.offset else []))

    @property
    def positive(self) -> np.ndarray:
        """Which parameters are fitted by their logs."""
        logs = {term.amplitude for term in self.terms} | {self.offset}
        return np.array([name in logs for name in self.params])

    def surface(self, columns: Columns) -> TermsSurface:
        """The law over the runs of `columns`."""
        return TermsSurface(self._design(self.features(columns)))

    def _design(self, features: Mapping[str, Column]) -> np.ndarray:
        at = {name: index for index, name in enumerate(self.params)}
        num_runs = len(next(iter(features.values())))
        num_terms = len(self.terms) + bool(self.offset)
        design = np.zeros((num_terms, num_runs, len(at)))
        for row, term in zip(design, self.terms, strict=False):
            row[:, at[term.amplitude]] = 1
            for exponent, feature in term.powers.items():
                row[:, at[exponent]] = -features[feature]
        if self.offset:
            design[-1, :, at[self.offset]] = 1
        return design

    def starts(self, columns: Columns, loss: Column) -> Thetas:
        """Variable projection: at every point of a grid of exponents the best amplitudes.

        Source: Golub and Pereyra 1973; non-negative least squares of the relative error.
        Oracle: tests/scaling/test_terms.py::test_projection_finds_planted_amplitudes
        """
        grid = [self.grid[name] for name in self._exponents]
        thetas = np.zeros((int(np.prod([len(values) for values in grid])), len(self.params)))
        thetas[:, self._exponent_columns] = list(itertools.product(*grid))
        design = self._design(self.features(columns))
        logs = np.einsum("gp,tnp->gnt", thetas, design)  # of unit amplitudes
        top = logs.max(axis=1, keepdims=True)
        basis = np.exp(logs - top) / loss[:, None]
        amplitudes, rest = nonnegative(basis)
        least = SMALLEST_SHARE / basis.max(axis=1)
        thetas[:, self._amplitude_columns] = np.log(np.maximum(amplitudes, least)) - top[:, 0]
        return thetas[np.argsort(rest, kind="stable")[:MOST_STARTS]]

    @property
    def _exponents(self) -> list[str]:
        return [self.params[i] for i in self._exponent_columns]

    @property
    def _exponent_columns(self) -> np.ndarray:
        return np.flatnonzero(~self.positive)

    @property
    def _amplitude_columns(self) -> list[int]:
        names = [*(term.amplitude for term in self.terms), *([self.offset] if self.offset else [])]
        return [self.params.index(name) for name in names]

    def natural(self, theta: Thetas) -> Thetas:
        """Amplitudes and the offset themselves instead of their logs."""
        with np.errstate(over="ignore"):
            return np.where(self.positive, np.exp(theta), theta)

    def theta(self, natural: Mapping[str, float]) -> np.ndarray:
        """The inverse of `natural`."""
        values = np.array([natural[name] for name in self.params], dtype=float)
        return np.where(self.positive, np.log(np.where(self.positive, values, 1.0)), values)

    def allocation(self, natural: Mapping[str, float]) -> Mapping[str, float]:
        """The exponent beta / (alpha + beta), if the law has both."""
        if not {"alpha", "beta"} <= natural.keys():
            return {}
        total = natural["alpha"] + natural["beta"]
        return {"all": natural["beta"] / total} if total else {}

    def unidentified(self, columns: Columns) -> Mapping[str, str]:
        """Exponents whose features do not vary enough, or follow from one another.

        Source: ours. Oracle: tests/scaling/test_identify.py::test_what_runs_cannot_tell_is_said
        """
        features = self.features(columns)
        found: dict[str, str] = {}
        used: dict[str, str] = {}
        for term in self.terms:
            for exponent, feature in term.powers.items():
                values = len(np.unique(np.round(features[feature], 9)))
                leads = next(iter(term.powers)) == exponent
                if values < 2 or (leads and values < LEAST_VALUES and self.offset):
                    many = "one value" if values == 1 else f"{values} values"
                    found[exponent] = f"{_plain(feature)} takes {many} only"
                    if leads:
                        others = [term.amplitude, *([self.offset] if self.offset else [])]
                        found |= dict.fromkeys(others, found[exponent])
                used.setdefault(feature, exponent)
        for (one, first), (other, second) in itertools.combinations(used.items(), 2):
            if first in found or second in found or not _affine(features[one], features[other]):
                continue
            why = f"{_plain(one)} and {_plain(other)} follow from one another"
            found |= {first: why, second: why}
        return found


def _plain(feature: str) -> str:
    return feature.replace("_", " ")


def _affine(a: Column, b: Column) -> bool:
    """Whether one feature is an affine function of the other."""
    a, b = a - a.mean(), b - b.mean()
    rest = b - a * (a @ b) / (a @ a)
    return bool(np.abs(rest).max() < PROPORTIONAL * np.abs(b).max())
