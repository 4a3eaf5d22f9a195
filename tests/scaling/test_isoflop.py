"""IsoFLOP profiles: vertices, their refusal, and the bias of parabolas."""

import numpy as np
import pytest
from fixtures.planted_laws import CHINCHILLA, losses_of

from burnish.base.errors import InputError
from burnish.scaling.isoflop import grid_bias, isoflop, vertex

HOFFMANN = {"A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28, "sigma": 1.69}
BUDGET = 1e20


def optimum_of(p, budget=BUDGET):
    ratio = p["alpha"] * p["A"] / (p["beta"] * p["B"]) * (budget / 6) ** p["beta"]
    return float(np.log(ratio) / (p["alpha"] + p["beta"]))


def law_of(p, budget=BUDGET):
    def losses(log_n):
        n = np.exp(log_n)
        return p["sigma"] + p["A"] * n ** -p["alpha"] + p["B"] * (budget / 6 / n) ** -p["beta"]

    return losses


def check_bias(bias):
    """Published: high by 0.33, 1.32, 2.99 and 5.37% on grids of half-width x2, x4, x8, x16."""
    best = optimum_of(HOFFMANN)
    for half, wanted in ((2, 0.33), (4, 1.32), (8, 2.99), (16, 5.37)):
        grid = np.log(np.geomspace(1 / half, half, 15)) + best
        found = 100 * np.expm1(bias(law_of(HOFFMANN), grid, best))
        assert found == pytest.approx(wanted, rel=0.08)
    for p, wanted in ((CHINCHILLA, -0.71), (HOFFMANN, 1.43)):
        best = optimum_of(p)
        grid = np.log(np.geomspace(0.25, 4, 9)) + best
        assert 100 * np.expm1(bias(law_of(p), grid, best)) == pytest.approx(wanted, abs=0.006)


def test_bias_is_the_closed_form():
    check_bias(grid_bias)


def test_planted_unbiased_vertex():
    with pytest.raises(AssertionError):
        check_bias(lambda *_: 0.0)


def test_a_vertex_outside_the_grid_is_refused():
    with pytest.raises(InputError, match=r"9\.25.*larger"):
        vertex(np.array([7.0, 7.5, 8.0]), np.array([3.0, 2.8, 2.65]))
    with pytest.raises(InputError, match="smaller"):
        vertex(np.array([7.0, 7.5, 8.0]), np.array([2.65, 2.8, 3.0]))
    with pytest.raises(InputError, match="must have a minimum"):
        vertex(np.array([7.0, 7.5, 8.0]), np.array([3.0, 2.9, 2.7]))
    place, curvature = vertex(np.array([1.0, 2.0, 4.0]), np.array([2.0, 1.0, 5.0]))
    assert (place, curvature) == pytest.approx((2.0, 2.0))


def profile_runs(planted, halves=(4, 4, 4, 4)):
    rows = []
    for budget, half in zip(np.geomspace(1e18, 1e21, 4), halves, strict=True):
        best = optimum_of(CHINCHILLA, budget)
        rows += [(np.exp(best + x), budget) for x in np.log(np.geomspace(1 / half, half, 9))]
    n, c = np.array(rows).T
    return planted(columns={"n": n, "d": c / (6 * n), "c": c, "e": 1 + 0 * n, "k": 1 + 0 * n})


def test_planted_exponent(planted):
    """Equal grids: the exponent is exact although each vertex is biased."""
    found = isoflop(profile_runs(planted), CHINCHILLA)
    assert found["exponent"] == pytest.approx(0.37 / 0.71, abs=1e-9)
    assert [row["bias"] for row in found["vertices"]] == pytest.approx([-0.0071] * 4, abs=1e-4)


def test_unequal_grids_are_corrected(planted):
    found = isoflop(profile_runs(planted, (2, 4, 8, 16)), CHINCHILLA)
    assert abs(found["exponent"] - 0.37 / 0.71) > 1e-3
    assert found["exponent_corrected"] == pytest.approx(0.37 / 0.71, abs=1e-9)


def test_one_profile_is_none(planted):
    runs = profile_runs(planted)
    assert isoflop(runs.take(np.arange(9)), None) is None
    assert losses_of("chinchilla", CHINCHILLA, runs.columns) == pytest.approx(runs.loss)


def test_rejected_vertices_are_not_passed_on(planted):
    runs = profile_runs(planted)
    found = isoflop(runs.take(np.r_[0:3, 9:18, 18:27]), None)
    assert len(found["rejected"]) == 1 and "larger" in found["rejected"][0]["why"]
    assert len(found["vertices"]) == 2
