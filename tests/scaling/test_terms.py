"""Sums of terms: values, gradients and projections against the plain formula."""

import numpy as np
import pytest
from fixtures.planted_laws import CHINCHILLA, grid_columns

from burnish.scaling.laws import laws
from burnish.scaling.terms import TermsSurface

LAWS = [
    "chinchilla", "gadre", "compute", "data", "size", "experts", "experts:variable=e", "routed",
    "experts:families=separate", "krajewski", "joint", "three-term", "kaplan", "clark",
]  # fmt: skip


def columns_for_all():
    columns = grid_columns(experts=((1.0, 1.0), (8.0, 2.0), (16.0, 1.0)))
    rng = np.random.default_rng(3)
    columns["granularity"] = rng.choice([1.0, 2.0, 4.0], len(columns["n"]))
    columns["batch"] = rng.choice([1e5, 3e5, 1e6], len(columns["n"]))
    return columns


def check_gradient(law, columns):
    loss = np.linspace(4.0, 3.0, len(columns["n"]))
    theta = law.starts(columns, loss)[:1]
    surface = law.surface(columns)
    weights = np.random.default_rng(1).standard_normal((1, len(loss)))
    _, pull = surface.evaluate(theta)
    found = pull(weights)[0]
    for i in range(theta.shape[1]):
        step = 1e-6 * max(1.0, abs(theta[0, i]))
        ends = [theta.copy(), theta.copy()]
        ends[0][0, i] -= step
        ends[1][0, i] += step
        low, high = (float((weights * surface.evaluate(t)[0]).sum()) for t in ends)
        assert found[i] == pytest.approx((high - low) / (2 * step), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("spec", LAWS)
def test_gradient_equals_differences(spec):
    check_gradient(laws.parse(spec), columns_for_all())


def test_planted_gradient_without_shares(monkeypatch):
    evaluate = TermsSurface.evaluate

    def without_shares(self, theta):
        value, _ = evaluate(self, theta)
        terms, runs, _ = self._shape
        return value, lambda w: np.tile(w, (1, terms)).reshape(1, terms * runs) @ self._flat

    monkeypatch.setattr(TermsSurface, "evaluate", without_shares)
    with pytest.raises(AssertionError):
        check_gradient(laws.parse("chinchilla"), columns_for_all())


def test_values_equal_the_formula():
    columns, p = grid_columns(), CHINCHILLA
    law = laws.parse("chinchilla")
    found = np.exp(law.surface(columns).evaluate(law.theta(p)[None])[0][0])
    wanted = p["sigma"] + p["A"] * columns["n"] ** -0.34 + p["B"] * columns["d"] ** -0.37
    assert found == pytest.approx(wanted, rel=1e-12)


def test_projection_finds_planted_amplitudes():
    """At the planted exponents, which stand in the grid, amplitudes come out exactly."""
    columns = grid_columns()
    law = laws.parse("chinchilla")
    natural = {"A": 300.0, "B": 900.0, "alpha": 0.3, "beta": 0.45, "sigma": 1.5}
    loss = np.exp(law.surface(columns).evaluate(law.theta(natural)[None])[0][0])
    found = law.natural(law.starts(columns, loss)[:1])[0]
    assert dict(zip(law.params, found, strict=True)) == pytest.approx(natural, rel=1e-4)


@pytest.mark.parametrize("spec", LAWS)
def test_natural_and_theta_are_inverse(spec):
    law = laws.parse(spec)
    columns = columns_for_all()
    theta = law.starts(columns, np.linspace(4.0, 3.0, len(columns["n"])))[:1]
    natural = dict(zip(law.params, law.natural(theta)[0], strict=True))
    assert law.theta(natural) == pytest.approx(theta[0], rel=1e-9, abs=1e-9)
