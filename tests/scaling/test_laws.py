"""Every law: planted parameters, special cases, units."""

import numpy as np
import pytest
from fixtures.planted_laws import CHINCHILLA, grid_columns, losses_of

from burnish.scaling.fitting import fit_law
from burnish.scaling.laws import laws
from burnish.scaling.laws.joint import saturating
from burnish.scaling.settings import FitSettings

EXACT = FitSettings(resamples=0)
MOE = ((1.0, 1.0), (4.0, 1.0), (8.0, 2.0), (32.0, 2.0))
WITH_EXPERTS = {"A": 300.0, "B": 900.0, "alpha": 0.31, "gamma": 0.11, "beta": 0.36, "sigma": 1.7}
PLANTED = {
    "chinchilla": CHINCHILLA,
    "gadre": {"A": 180.0, "B": 290.0, "eta": 0.28, "sigma": 1.9},
    "compute": {"A": 2000.0, "alpha": 0.16, "sigma": 1.6},
    "data": {"A": 500.0, "alpha": 0.3, "sigma": 2.1},
    "size": {"A": 200.0, "alpha": 0.27, "sigma": 2.0},
    "routed": {"A": 40.0, "alpha": 0.18, "gamma": 0.07, "sigma": 1.1},
    "experts": WITH_EXPERTS,
    "experts:variable=e": WITH_EXPERTS,
    "experts:families=separate": {
        "A": 300.0, "B": 900.0, "alpha": 0.31, "alpha_moe": 0.28, "gamma": 0.09, "gap_n": 0.4,
        "beta": 0.36, "beta_moe": 0.40, "gap_d": -0.7, "sigma": 1.7,
    },
    "krajewski": {"g": 60.0, "a": 90.0, "b": 700.0, "alpha": 0.25, "gamma": 0.6, "beta": 0.34,
                  "sigma": 1.5},
    "joint": {"a": 200.0, "b": 800.0, "alpha": 0.28, "delta": 0.3, "gamma": -0.012, "beta": 0.35,
              "omega": -0.2, "zeta": 0.008, "sigma": 1.6},
    "three-term": {"A": 300.0, "B": 12.0, "C": 9.0, "alpha": 0.3, "beta": 0.35, "gamma": 0.3,
                   "sigma": 1.6},
    "kaplan": {"N_c": 8.8e13, "D_c": 5.4e13, "alpha_N": 0.076, "alpha_D": 0.095},
    "clark": {"a": -0.08, "b": -0.12, "c": 0.011, "d": 1.1, "E_start": 1.9, "E_max": 300.0},
}  # fmt: skip


def columns_of(spec):
    experts = MOE
    if spec == "clark":
        experts = tuple((float(e), 1.0) for e in (1, 2, 4, 8, 32, 128, 512))
    columns = grid_columns(sizes=(1e7, 3e7, 1e8, 3e8, 1e9), tokens=(2e8, 1e9, 5e9, 2e10),
                           experts=experts)  # fmt: skip
    place = np.arange(len(columns["n"]))
    columns["granularity"] = 2.0 ** (place % 5)
    columns["batch"] = 1e5 * 2.0 ** (place * 7 % 6)
    return columns


@pytest.mark.parametrize("spec", PLANTED)
def test_planted_parameters_are_recovered(spec):
    columns = columns_of(spec)
    law = laws.parse(spec)
    fit = fit_law(law, columns, losses_of(spec, PLANTED[spec], columns), EXACT)
    assert law.unidentified(columns) == {}
    assert fit.natural == pytest.approx(PLANTED[spec], rel=1e-6)


def check_one_expert(spec):
    columns, loss = grid_columns(), losses_of("chinchilla", CHINCHILLA, grid_columns())
    law = laws.parse(spec)
    theta = law.theta(CHINCHILLA | {"gamma": 0.2})
    found = np.exp(law.surface(columns).evaluate(theta[None])[0][0])
    assert found.tolist() == loss.tolist()


@pytest.mark.parametrize("spec", ["experts", "experts:variable=e"])
def test_one_expert_is_chinchilla(spec):
    """E = 1 equals the dense law bit for bit, whatever gamma is."""
    check_one_expert(spec)


def test_all_experts_used_is_dense():
    columns = grid_columns(experts=((1.0, 1.0),))
    used = columns | {"e": 8 * columns["e"], "k": 8 * columns["k"]}
    assert losses_of("experts", WITH_EXPERTS, columns).tolist() == losses_of(
        "experts", WITH_EXPERTS, used).tolist()  # fmt: skip


def test_units_only_rescale():
    """Other units of N, D and L change amplitudes and sigma, and no exponent."""
    columns = grid_columns()
    loss = losses_of("chinchilla", CHINCHILLA, columns)
    law = laws.parse("chinchilla")
    other = columns | {"n": columns["n"] / 1e6, "d": columns["d"] / 1e9}
    fit = fit_law(law, other, loss / np.log(2), EXACT)
    wanted = {
        "A": 400.0 / np.log(2) * 1e6**-0.34, "B": 2000.0 / np.log(2) * 1e9**-0.37,
        "alpha": 0.34, "beta": 0.37, "sigma": 1.8 / np.log(2),
    }  # fmt: skip
    assert fit.natural == pytest.approx(wanted, rel=1e-6)


def test_shared_exponents_cannot_give_the_papers_two():
    assert set(laws.parse("experts").allocation(WITH_EXPERTS)) == {"all"}
    found = laws.parse("experts:families=separate").allocation(PLANTED["experts:families=separate"])
    assert found == pytest.approx({"dense": 0.36 / 0.67, "moe": 0.40 / 0.68})


def test_saturation_ends_where_it_should():
    ends = saturating(np.array([1.0, 1e12]), 1.7, 470.0)
    assert ends == pytest.approx([1.7, 470.0], rel=1e-6)
    assert saturating(np.array([1.0, 7.0]), 1.0, np.inf) == pytest.approx([1.0, 7.0])


def test_best_batch_is_the_minimum():
    law, natural = laws.parse("three-term"), PLANTED["three-term"]
    tokens = np.array([1e9, 1e11])
    for d, best in zip(tokens, law.best_batch(natural, tokens), strict=True):
        batch = np.geomspace(best / 10, best * 10, 20001)
        ones = np.ones_like(batch)
        columns = {"n": 1e8 * ones, "d": d * ones, "batch": batch}
        lowest = batch[np.argmin(losses_of("three-term", natural, columns))]
        assert lowest == pytest.approx(best, rel=1e-3)
