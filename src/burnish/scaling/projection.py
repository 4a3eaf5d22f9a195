"""Non-negative least squares for few unknowns, at many places at once."""

import itertools

import numpy as np
from jaxtyping import Float

RIDGE = 1e-13


def nonnegative(
    basis: Float[np.ndarray, "draws runs params"],
) -> tuple[Float[np.ndarray, "draws params"], Float[np.ndarray, "draws"]]:  # noqa: F821
    """Non-negative x with `basis @ x` nearest to ones, and the sum of squares that is left.

    Exact: the best of all sets of unknowns whose unconstrained solution is non-negative.
    Source: Lawson and Hanson 1974, chapter 23, by enumeration.
    Oracle: tests/scaling/test_projection.py::test_equals_scipy
    """
    num_draws, num_runs, num_params = basis.shape
    gram = np.einsum("gnt,gnu->gtu", basis, basis)
    right = basis.sum(axis=1)
    best = np.zeros((num_draws, num_params))
    least = np.full(num_draws, float(num_runs))
    for size in range(1, num_params + 1):
        for chosen in itertools.combinations(range(num_params), size):
            part = gram[:, chosen][:, :, chosen]
            scale = np.sqrt(np.maximum(np.einsum("gii->gi", part), 1e-300))
            unit = part / (scale[:, :, None] * scale[:, None, :]) + RIDGE * np.eye(size)
            found = np.linalg.solve(unit, (right[:, chosen] / scale)[..., None])[..., 0] / scale
            rest = num_runs - np.einsum("gi,gi->g", found, right[:, chosen])
            better = (found >= 0).all(axis=1) & (rest < least)
            least[better] = rest[better]
            best[better] = 0.0
            best[np.ix_(better, list(chosen))] = found[better]
    return best, least
