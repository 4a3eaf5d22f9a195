"""Batched BFGS against scipy's, on smooth functions and on one with kinks."""

import numpy as np
import pytest
from scipy.optimize import minimize, rosen, rosen_der

from burnish.scaling import minimise as module


def rosenbrock(points, rows):
    return np.array([rosen(p) for p in points]), np.array([rosen_der(p) for p in points])


def check_scipy(num_starts=7):
    starts = np.random.default_rng(2).uniform(-1.5, 1.5, (num_starts, 3))
    guess = np.tile(np.eye(3), (num_starts, 1, 1))
    found, values = module.minimise(rosenbrock, starts, guess)
    for start, value in zip(starts, values, strict=True):
        wanted = minimize(rosen, start, jac=rosen_der, method="BFGS", tol=1e-12)
        assert value <= wanted.fun + 1e-12
    assert found == pytest.approx(np.ones((num_starts, 3)), abs=1e-6)


def test_equals_scipy():
    check_scipy()


def test_planted_update_of_steepest_descent(monkeypatch):
    monkeypatch.setattr(module, "_update", lambda *a: None)
    with pytest.raises(AssertionError):
        check_scipy(1)


def test_median_of_a_huber_loss():
    """A sum of Huber losses of small delta has its minimum at the median."""
    data = np.random.default_rng(4).standard_normal(101)

    def objective(points, rows):
        rest = points - data[None]
        clipped = np.clip(rest, -1e-3, 1e-3)
        return (clipped * (rest - clipped / 2)).sum(axis=1), clipped.sum(axis=1, keepdims=True)

    found, _ = module.minimise(objective, np.array([[3.0], [-2.0]]), np.ones((2, 1, 1)))
    assert found[:, 0] == pytest.approx(np.median(data), abs=1e-3)
