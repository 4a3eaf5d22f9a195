"""Fit a law to runs: variable projection for starts, then BFGS with analytic gradients."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from burnish.base.rng import stream
from burnish.contracts.law import Column, Columns, Law, PerRun, Surface, Thetas
from burnish.scaling.minimise import Objective, minimise
from burnish.scaling.settings import FitSettings

EDGE_FRAC = 0.01  # of the lowest loss: an irreducible loss below it hardly bends the law
BLOCK = 64  # draws that are refitted together: what fits a processor's cache
POLISHING = 40
ROUGH: dict[str, Any] = {"tolerance": 1e-8, "least_gain": 1e-15, "max_steps": 150}  # refits


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A fitted law. `objective` is the sum of Huber losses; `draws` are bootstrapped thetas."""

    law: Law
    theta: Float[np.ndarray, "params"]  # noqa: F821
    objective: float
    draws: Thetas

    @property
    def natural(self) -> dict[str, float]:
        """Parameters by name."""
        return named(self.law, self.theta)

    def predict(self, columns: Columns) -> Column:
        """Losses [nats]."""
        return np.exp(self.law.surface(columns).evaluate(self.theta[None])[0][0])


def named(law: Law, theta: Float[np.ndarray, "params"]) -> dict[str, float]:  # noqa: F821
    """Natural parameters by name."""
    natural = law.natural(theta[None])[0]
    return dict(zip(law.params, map(float, natural), strict=True))


def fit_law(
    law: Law, columns: Columns, loss: Column, settings: FitSettings, drawn: PerRun | None = None
) -> Fit:
    """Fit a law, with bootstrap over runs if `settings.resamples`.

    `drawn` are the losses of each resample, where what they are means of is drawn, too.

    The objective is the sum of Huber losses of log-loss residuals (Hoffmann's; a mean makes some
    optimisers stop early). Source: Hoffmann et al. 2022, appendix D.3; Besiroglu et al. 2024.
    Oracle: tests/scaling/test_published_data.py::test_epoch_objective
    Oracle: tests/scaling/test_fitting.py::test_no_start_of_scipys_is_better
    """
    surface = law.surface(columns)
    fixed = _fixed(law, settings)
    ones = np.ones((1, len(loss)))
    starts = law.starts(columns, loss)
    for at, value in fixed.items():
        starts[:, at] = value
    objective = make_objective(surface, loss, ones, settings, tuple(fixed))
    guess = np.stack([_inverse(surface, loss, theta, settings, tuple(fixed)) for theta in starts])
    found, values = minimise(objective, starts, guess)
    best = int(np.nanargmin(values))
    theta, value = _polish(objective, surface, loss, found[best], settings, tuple(fixed))
    start = _off_the_edge(law, theta, loss, tuple(fixed))
    losses = np.tile(loss, (settings.resamples, 1)) if drawn is None else drawn
    draws = bootstrap(surface, losses, start, settings, tuple(fixed))
    return Fit(law=law, theta=theta, objective=value, draws=draws)


def make_objective(
    surface: Surface,
    loss: Column | PerRun,
    weights: PerRun,
    settings: FitSettings,
    fixed: tuple[int, ...] = (),
) -> Objective:
    """Values and gradients of the weighted sum of Huber losses; `loss` may differ by draw.

    Source: Huber 1964. Oracle: tests/scaling/test_fitting.py::test_gradient_equals_differences
    """
    delta = settings.delta or np.inf
    target = np.log(loss) if settings.space == "log" else loss

    def objective(theta: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with np.errstate(over="ignore", invalid="ignore"):  # trial steps may go anywhere
            logs, pull = surface.evaluate(theta)
            fitted = logs if settings.space == "log" else np.exp(logs)
            rest = fitted - (target if target.ndim == 1 else target[rows])
            clipped = np.clip(rest, -delta, delta)
            counts = weights if len(weights) == 1 else weights[rows]
            values = (counts * clipped * (rest - clipped / 2)).sum(axis=1)
            slope = clipped if settings.space == "log" else clipped * fitted
            gradient = pull(counts * slope)
        gradient[:, list(fixed)] = 0
        return values, gradient

    return objective


def jacobian(surface: Surface, theta: np.ndarray, num_runs: int) -> np.ndarray:
    """Derivative of every run's log loss by every parameter."""
    _, pull = surface.evaluate(theta[None])
    rows = [np.eye(128, num_runs, at) for at in range(0, num_runs, 128)]
    return np.concatenate([pull(block) for block in rows])[:num_runs]


def bootstrap(
    surface: Surface,
    losses: PerRun,
    theta: np.ndarray,
    settings: FitSettings,
    fixed: tuple[int, ...],
) -> Thetas:
    """Refit to runs drawn with replacement, starting at the estimate; draws run in blocks.

    `losses` has one row a resample.

    Draws that hold fewer different runs than the law has parameters are drawn again.
    Source: Efron 1979. Oracle: tests/scaling/test_published_data.py::test_epoch_standard_errors
    """
    rng, num_runs = stream(settings.seed, "scaling", "bootstrap"), losses.shape[1]
    least = min(len(theta) - len(fixed) + 1, num_runs)
    found = []
    for start in range(0, settings.resamples, BLOCK):
        size = min(BLOCK, settings.resamples - start)
        weights = np.stack([_resample(rng, num_runs, least) for _ in range(size)])
        own = losses[start : start + size]
        objective = make_objective(surface, own, weights, settings, fixed)
        guess = np.tile(_inverse(surface, own[0], theta, settings, fixed), (size, 1, 1))
        found.append(minimise(objective, np.tile(theta, (size, 1)), guess, **ROUGH)[0])
    return np.concatenate(found) if found else np.empty((0, len(theta)))


def _off_the_edge(law: Law, theta: np.ndarray, loss: Column, fixed: tuple[int, ...]) -> np.ndarray:
    """Where refits start: with an irreducible loss that can still move.

    At an irreducible loss of zero its logarithm has no slope, so a guess of its curvature is
    boundless, and no refit would leave the estimate: intervals would be far too narrow.
    Source: ours. Oracle:
    tests/scaling/test_fitting.py::test_intervals_hold_where_nothing_is_irreducible
    """
    if "sigma" not in law.params or law.params.index("sigma") in fixed:
        return theta
    start, at = theta.copy(), law.params.index("sigma")
    start[at] = max(start[at], float(np.log(EDGE_FRAC * loss.min())))
    return start


def _resample(rng: np.random.Generator, num_runs: int, least: int) -> np.ndarray:
    while True:
        counts = np.bincount(rng.integers(0, num_runs, num_runs), minlength=num_runs)
        if np.count_nonzero(counts) >= least:
            return counts.astype(float)


def _fixed(law: Law, settings: FitSettings) -> dict[int, float]:
    """Positions and values of the parameters that are not fitted."""
    if settings.sigma is None or "sigma" not in law.params:
        return {}
    return {law.params.index("sigma"): float(np.log(settings.sigma))}


def _inverse(
    surface: Surface,
    loss: Column,
    theta: np.ndarray,
    settings: FitSettings,
    fixed: tuple[int, ...],
) -> np.ndarray:
    """A first guess of the objective's inverse Hessian: Gauss-Newton with Huber's weights."""
    slopes, weights = _weighted(surface, loss, theta, settings)
    hessian = (slopes * weights[:, None]).T @ slopes
    scale = np.sqrt(np.maximum(np.diag(hessian), 1e-300))
    inverse = np.linalg.inv(hessian / np.outer(scale, scale) + 1e-9 * np.eye(len(theta)))
    inverse = inverse / np.outer(scale, scale)
    inverse[list(fixed)] = inverse[:, list(fixed)] = 0
    return inverse


def _weighted(
    surface: Surface, loss: Column, theta: np.ndarray, settings: FitSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives of the residuals, and the weights that make squares of them Huber's loss."""
    delta = settings.delta or np.inf
    logs = surface.evaluate(theta[None])[0][0]
    slopes = jacobian(surface, theta, len(loss))
    rest = logs - np.log(loss)
    if settings.space == "linear":
        slopes, rest = slopes * np.exp(logs)[:, None], np.exp(logs) - loss
    return slopes, delta_weights(rest, delta)


def delta_weights(rest: Column, delta: float) -> Column:
    """Huber's weights: one within delta, falling as 1 / |residual| beyond."""
    if not np.isfinite(delta):
        return np.ones_like(rest)
    return delta / np.maximum(np.abs(rest), delta)


def _polish(
    objective: Objective,
    surface: Surface,
    loss: Column,
    theta: np.ndarray,
    settings: FitSettings,
    fixed: tuple[int, ...],
) -> tuple[np.ndarray, float]:
    """Reweighted Gauss-Newton steps while they gain; exact where residuals vanish."""
    row = np.zeros(1, dtype=int)
    value, gradient = objective(theta[None], row)
    for _ in range(POLISHING):
        step = -_inverse(surface, loss, theta, settings, fixed) @ gradient[0]
        sizes = (1.0, 0.3, 0.1)
        trials = [
            (theta + size * step, *objective((theta + size * step)[None], row)) for size in sizes
        ]
        best = min(trials, key=lambda trial: float(np.nan_to_num(trial[1][0], nan=np.inf)))
        if not best[1][0] < value[0]:
            break
        theta, value, gradient = best
    return theta, float(value[0])
