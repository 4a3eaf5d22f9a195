"""The best size under limits, against closed forms and scipy."""

import numpy as np
import pytest
from fixtures.planted_laws import CHINCHILLA, closed_form
from scipy.optimize import minimize

from burnish.base.errors import DoesNotFitError, SettingError
from burnish.scaling import optimum as module
from burnish.scaling.laws import laws
from burnish.scaling.optimum import Limits, optimum
from burnish.scaling.settings import PlanSettings

LAW = laws.parse("chinchilla")
THETA = LAW.theta(CHINCHILLA)[None]
BUDGET = 1e20


def limits(**settings):
    settings = PlanSettings(**{"flops": BUDGET, **settings})
    return Limits(settings=settings, experts=settings.experts, top_k=settings.top_k)


def check_closed_form():
    thetas, wanted = [], []
    for alpha, beta in ((0.34, 0.37), (0.34, 0.28), (0.2, 0.5)):
        natural = CHINCHILLA | {"alpha": alpha, "beta": beta}
        thetas.append(LAW.theta(natural))
        wanted.append(closed_form(natural, BUDGET))
    found = optimum(LAW, np.array(thetas), limits())
    assert found.n == pytest.approx([n for n, _ in wanted], rel=1e-4)
    assert found.d == pytest.approx([d for _, d in wanted], rel=1e-4)
    assert 6 * found.n * found.d == pytest.approx(BUDGET, rel=1e-9)


def test_equals_the_closed_form():
    check_closed_form()


def test_planted_coarse_grid(monkeypatch):
    monkeypatch.setattr(module, "_lowest", lambda losses, grid: grid[np.argmin(losses, axis=1)])
    monkeypatch.setattr(module, "FINE", 20)
    with pytest.raises(AssertionError):
        check_closed_form()


def test_equals_slsqp():
    """With tokens at hand and tokens to serve: minimise in (ln N, ln D) under inequalities."""
    p, served, most = CHINCHILLA, 1e11, 1.5e10
    found = optimum(LAW, THETA, limits(served_tokens=served, tokens=most))

    def loss(x):
        return p["sigma"] + p["A"] * np.exp(-p["alpha"] * x[0]) + p["B"] * np.exp(-p["beta"] * x[1])

    def left(x):
        n, d = np.exp(x)
        return 1 - (6 * n * d + 2 * n * served) / BUDGET

    bounds = [(np.log(1e6), np.log(1e12)), (np.log(1e8), np.log(most))]
    other = minimize(loss, [18.0, 22.0], bounds=bounds, method="SLSQP", options={"ftol": 1e-14},
                     constraints=[{"type": "ineq", "fun": left}])  # fmt: skip
    assert other.success
    assert found.loss[0] == pytest.approx(other.fun, rel=2e-6)
    assert np.log([found.n[0], found.d[0]]) == pytest.approx(other.x, abs=2e-2)


def test_served_tokens_make_models_smaller():
    sizes = [optimum(LAW, THETA, limits(served_tokens=t)).n[0] for t in (0.0, 1e10, 1e11)]
    assert sizes[0] > sizes[1] > sizes[2]


def test_memory_bounds_what_is_stored():
    free = optimum(LAW, THETA, limits()).n[0]
    bound = optimum(LAW, THETA, limits(memory_bytes=16 * free / 2)).n[0]
    assert bound == pytest.approx(free / 2, rel=1e-6)
    joint = laws.parse("joint")
    assert limits(experts=8, top_k=2).total(np.array([1e9]))[0] == pytest.approx(3e9)
    with pytest.raises(DoesNotFitError):
        optimum(LAW, THETA, limits(memory_bytes=1000.0))
    with pytest.raises(SettingError, match="leaves no model"):
        optimum(LAW, THETA, limits(flops=100.0))
    assert joint.columns == ("n", "d", "e")


def test_a_law_of_compute_tells_no_size():
    law = laws.parse("compute")
    theta = law.theta({"A": 10.0, "alpha": 0.1, "sigma": 1.0})[None]
    with pytest.raises(SettingError, match="must depend on n and d"):
        optimum(law, theta, limits())
