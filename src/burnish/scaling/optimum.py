"""The best size and data under limits, for one law and every bootstrapped version of it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from burnish.base.errors import DoesNotFitError, SettingError
from burnish.contracts.law import Column, Law, Thetas
from burnish.scaling.settings import PlanSettings

COARSE, FINE = 400, 1500
BLOCK = 64
READ = {"n", "d", "c", "e", "k"}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Where N may lie and the tokens that a budget leaves for each N."""

    settings: PlanSettings
    experts: int
    top_k: int

    def total(self, n: Column) -> Column:
        """Stored parameters for `n` active ones: experts that a token does not use are extra."""
        extra = self.settings.expert_frac * (self.experts / self.top_k - 1)
        return n * (1 + extra)

    def tokens(self, n: Column) -> Column:
        """Training tokens that the budget leaves: D = (F - 2 N T) / 6 N, at most those available.

        Source: Sardana et al. 2024, arXiv 2401.00448, for the tokens served.
        Oracle: tests/scaling/test_optimum.py::test_served_tokens_make_models_smaller
        """
        left = self.settings.flops - 2 * n * self.settings.served_tokens
        found = left / (6 * n)
        return found if self.settings.tokens is None else np.minimum(found, self.settings.tokens)

    def range(self) -> tuple[float, float]:
        """Smallest and largest size, by log. Raises: DoesNotFitError, SettingError."""
        flops, served = self.settings.flops, self.settings.served_tokens
        high = flops / (6 + 2 * served)  # at least one token
        if self.settings.memory_bytes is not None:
            room = self.settings.memory_bytes / self.settings.bytes_per_param
            high = min(high, room / float(self.total(np.ones(1))[0]))
        low = 1e3
        if high <= low:
            rule = f"leaves no model of {low:.0f} parameters"
            if self.settings.memory_bytes is not None:
                remedy = "Allow more memory, or fewer experts"
                raise DoesNotFitError("memory_bytes", self.settings.memory_bytes, rule,
                                      remedy=remedy)  # fmt: skip
            raise SettingError("flops", flops, rule, remedy="Allow more, or serve fewer tokens")
        return float(np.log(low)), float(np.log(high))


@dataclass(frozen=True, kw_only=True)
class Optimum:
    """Best sizes, their tokens and losses, one for each parameter vector."""

    n: Float[np.ndarray, "draws"]  # noqa: F821
    d: Float[np.ndarray, "draws"]  # noqa: F821
    loss: Float[np.ndarray, "draws"]  # noqa: F821


def optimum(law: Law, theta: Thetas, limits: Limits) -> Optimum:
    """Minimise the loss over N, with D set by what the budget leaves.

    Raises: SettingError, for a law that does not tell size from data.
    Source: ours.
    Oracle: tests/scaling/test_optimum.py::test_equals_the_closed_form, ::test_equals_slsqp
    """
    if not {"n", "d"} <= set(law.columns) <= READ:
        rule = "must depend on n and d, and on no other variables than e, k and c"
        raise SettingError("law", type(law).__name__, rule, remedy="Fit chinchilla or experts")
    low, high = limits.range()
    coarse = np.linspace(low, high, COARSE)
    best = np.concatenate([
        np.argmin(_losses(law, block, coarse, limits), axis=1) for block in _blocks(theta)
    ])  # fmt: skip
    step = coarse[1] - coarse[0]
    fine = np.linspace(
        max(low, coarse[best.min()] - step), min(high, coarse[best.max()] + step), FINE
    )
    places = np.concatenate([_lowest(_losses(law, b, fine, limits), fine) for b in _blocks(theta)])
    n = np.exp(places)
    columns = _columns(n, limits)
    loss = np.array([
        np.exp(law.surface({k: v[i : i + 1] for k, v in columns.items()}).evaluate(row[None])[0])
        for i, row in enumerate(theta)
    ])  # fmt: skip
    return Optimum(n=n, d=columns["d"], loss=loss.reshape(-1))


def _blocks(theta: Thetas) -> list[Thetas]:
    return [theta[i : i + BLOCK] for i in range(0, len(theta), BLOCK)]


def _columns(n: Column, limits: Limits) -> dict[str, Column]:
    d = np.maximum(limits.tokens(n), 1.0)
    ones = np.ones_like(n)
    return {"n": n, "d": d, "c": 6 * n * d, "e": limits.experts * ones, "k": limits.top_k * ones}


def _losses(law: Law, theta: Thetas, log_n: Column, limits: Limits) -> np.ndarray:
    return law.surface(_columns(np.exp(log_n), limits)).evaluate(theta)[0]


def _lowest(losses: np.ndarray, log_n: Column) -> np.ndarray:
    """The minimum of each row, by the parabola through the lowest point and its neighbours."""
    at = np.argmin(losses, axis=1)
    inside = (at > 0) & (at < len(log_n) - 1)
    middle = np.clip(at, 1, len(log_n) - 2)
    rows = np.arange(len(losses))
    a, b, c = (losses[rows, middle + k] for k in (-1, 0, 1))
    bend = a - 2 * b + c
    shift = np.where(bend > 0, (a - c) / (2 * np.where(bend > 0, bend, 1)), 0.0)
    step = log_n[1] - log_n[0]
    return np.where(inside, log_n[middle] + np.clip(shift, -1, 1) * step, log_n[at])
