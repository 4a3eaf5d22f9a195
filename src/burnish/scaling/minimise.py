"""Many small minimisations at once: BFGS with a weak Wolfe line search, all steps in numpy."""

from collections.abc import Callable

import numpy as np

Objective = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]

SUFFICIENT, CURVATURE = 1e-4, 0.9
MOST_TRIALS = 40
PATIENCE = 3  # steps in a row that gain next to nothing


def minimise(
    objective: Objective,
    starts: np.ndarray,
    inverse: np.ndarray,
    *,
    tolerance: float = 1e-13,
    least_gain: float = 0.0,
    max_steps: int = 500,
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise a function of each row of `starts`; returns the points and their values.

    `objective(points, rows)` gives values and gradients, `rows` telling which of the starts the
    points belong to; `inverse` holds first guesses of the inverse Hessians. A row ends after three
    steps that gain less than `tolerance` of its value plus `least_gain`. The weak Wolfe search
    makes BFGS work on functions with kinks, such as a Huber loss of small delta.
    Source: Lewis and Overton 2013, Mathematical Programming 141:135-163.
    Oracle: tests/scaling/test_minimise.py::test_equals_scipy
    """
    x, rows = starts.copy(), np.arange(len(starts))
    values, slopes = objective(x, rows)
    inverse, idle = inverse.copy(), np.zeros(len(x), dtype=int)
    for _ in range(max_steps):
        if len(rows) == 0:
            break
        ways = -np.einsum("rij,rj->ri", inverse[rows], slopes[rows])
        rises = np.einsum("ri,ri->r", ways, slopes[rows])
        lost = ~(rises < 0)  # no way down: begin anew from the gradient
        ways[lost] = -slopes[rows][lost]
        rises[lost] = -np.square(slopes[rows][lost]).sum(axis=1)
        moved, new_values, new_slopes = _search(
            objective, x[rows], ways, (values[rows], slopes[rows], rises), rows
        )
        _update(inverse, rows, moved - x[rows], new_slopes - slopes[rows])
        gained = values[rows] - new_values
        idle[rows] = np.where(
            gained > tolerance * np.abs(values[rows]) + least_gain, 0, idle[rows] + 1
        )
        x[rows], values[rows], slopes[rows] = moved, new_values, new_slopes
        rows = rows[idle[rows] < PATIENCE]
    return x, values


def _search(
    objective: Objective,
    x: np.ndarray,
    ways: np.ndarray,
    here: tuple[np.ndarray, np.ndarray, np.ndarray],
    rows: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A step for every row, by bisection; a row without a better point stays where it is."""
    values, slopes, rises = here
    best, best_values, best_slopes = x.copy(), values.copy(), slopes.copy()
    low, high, size = np.zeros(len(x)), np.full(len(x), np.inf), np.ones(len(x))
    open_rows = np.arange(len(x))
    for _ in range(MOST_TRIALS):
        points = x[open_rows] + size[open_rows, None] * ways[open_rows]
        found, gradient = objective(points, rows[open_rows])
        target = values[open_rows] + SUFFICIENT * size[open_rows] * rises[open_rows]
        fell = np.isfinite(found) & (found <= target)
        steep = np.einsum("ri,ri->r", gradient, ways[open_rows])
        flat = steep >= CURVATURE * rises[open_rows]
        better = fell & (found <= best_values[open_rows])
        at = open_rows[better]
        best[at], best_values[at], best_slopes[at] = points[better], found[better], gradient[better]
        high[open_rows[~fell]] = size[open_rows[~fell]]
        low[open_rows[fell & ~flat]] = size[open_rows[fell & ~flat]]
        open_rows = open_rows[~(fell & flat)]
        if len(open_rows) == 0:
            break
        bounded = np.isfinite(high[open_rows])
        middle = np.where(bounded, (low[open_rows] + high[open_rows]) / 2, 2 * low[open_rows])
        size[open_rows] = middle
    return best, best_values, best_slopes


def _update(inverse: np.ndarray, rows: np.ndarray, s: np.ndarray, y: np.ndarray) -> None:
    """The BFGS update of the inverse Hessians, where the curvature is positive."""
    sy = np.einsum("ri,ri->r", s, y)
    good = sy > 1e-14 * np.linalg.norm(s, axis=1) * np.linalg.norm(y, axis=1)
    at, s, y, rho = rows[good], s[good], y[good], 1 / sy[good]
    if len(at) == 0:
        return
    old = inverse[at]
    hy = np.einsum("rij,rj->ri", old, y)
    yhy = np.einsum("ri,ri->r", y, hy)
    cross = np.einsum("ri,rj->rij", hy, s)
    outer = np.einsum("ri,rj->rij", s, s)
    scale = (rho * (1 + rho * yhy))[:, None, None]
    inverse[at] = old + scale * outer - rho[:, None, None] * (cross + cross.transpose(0, 2, 1))
