"""Plans: numbers, intervals, refusals."""

import numpy as np
import pytest
from fixtures.planted_laws import CHINCHILLA, closed_form, grid_columns

from burnish.base.errors import SettingError
from burnish.scaling.analyse import analyse
from burnish.scaling.known import KnownFit, open_fit
from burnish.scaling.planning import make_plan, plan_file
from burnish.scaling.settings import FitSettings, PlanSettings

MOE = {"A": 300.0, "B": 900.0, "alpha": 0.31, "gamma": 0.11, "beta": 0.36, "sigma": 1.7}


@pytest.fixture(scope="module")
def known(planted):
    found = analyse("chinchilla", planted(noise=0.003), FitSettings(resamples=60))
    return KnownFit(fit=found.fit, told=found.told)


def test_plan_equals_the_closed_form(planted):
    found = analyse("chinchilla", planted(), FitSettings(resamples=0))
    told = make_plan(PlanSettings(flops=2e19), KnownFit(fit=found.fit, told=found.told))
    n, d = closed_form(CHINCHILLA, 2e19)
    assert (told["n"], told["d"]) == pytest.approx((n, d), rel=1e-4)
    assert told["loss"] == pytest.approx(1.8 + 400 * n**-0.34 + 2000 * d**-0.37, rel=1e-6)
    assert told["batch_tokens"] == pytest.approx(0.58 * d**0.571, rel=1e-3)
    assert told["lr"] == pytest.approx(1.79 * n**-0.713 * d**0.307, rel=1e-3)
    assert told["num_steps"] == round(told["d"] / told["batch_tokens"])
    assert told["intervals"]["n"] is None and "no intervals" in " ".join(told["notes"])


def test_intervals_hold_their_value(known):
    told = make_plan(PlanSettings(flops=2e19), known)
    for name, (low, high) in told["intervals"].items():
        assert low < told[name] < high
    assert len(told["slider"]) >= 20
    file = plan_file(told, name="x", seed=3)
    assert (file.n, file.d_tokens, file.loss_low) == (
        told["n"], told["d"], told["intervals"]["loss"][0])  # fmt: skip


def test_far_beyond_the_data_is_refused_with_what_it_would_take(known):
    with pytest.raises(SettingError) as caught:
        make_plan(PlanSettings(flops=9e22), known)
    said = str(caught.value)
    assert "1e+04 times the largest run (9e+18)" in said and "--extrapolate 10000" in said
    assert "held-out error" in said and "[" in said and len(said) <= 400
    told = make_plan(PlanSettings(flops=9e22, extrapolate=1e4), known)
    assert told["factor"] == pytest.approx(1e4)


def test_mixed_conventions_are_refused(known):
    with pytest.raises(SettingError, match="non-embedding"):
        make_plan(PlanSettings(flops=2e19, counts="all"), known)
    assert make_plan(PlanSettings(flops=2e19, counts="non-embedding"), known)["n"] > 0


def test_experts_need_a_law_of_experts(known):
    with pytest.raises(SettingError, match="law with an expert term"):
        make_plan(PlanSettings(flops=2e19, experts=8), known)


def test_dense_against_experts(planted):
    columns = grid_columns(experts=((1.0, 1.0), (4.0, 1.0), (8.0, 2.0)))
    found = analyse("experts", planted("experts", MOE, columns, 0.002), FitSettings(resamples=60))
    known = KnownFit(fit=found.fit, told=found.told)
    told = make_plan(PlanSettings(flops=2e19, experts=8, top_k=2), known)
    dense = told["dense"]
    assert dense["moe_minus_dense"] == pytest.approx(told["loss"] - dense["loss"])
    low, high = dense["interval"]
    assert low < dense["moe_minus_dense"] < high < 0
    assert told["n_total"] == pytest.approx(3 * told["n"])
    assert any("0.507" in note for note in told["notes"])
    shrink = (8 / 2) ** (-found.fit.natural["gamma"] / sum(
        found.fit.natural[k] for k in ("alpha", "beta")))  # fmt: skip
    assert told["n"] / dense["n"] == pytest.approx(shrink, rel=1e-3)
    with pytest.raises(SettingError, match="4 times the most"):
        make_plan(PlanSettings(flops=2e19, experts=64, top_k=2), known)


def test_own_rules_are_used(planted):
    columns = grid_columns()
    columns["lr"] = 3 * columns["n"] ** -0.5 * columns["d"] ** 0.1
    found = analyse("chinchilla", planted(columns=columns), FitSettings(resamples=0))
    known = KnownFit(fit=found.fit, told=found.told)
    told = make_plan(PlanSettings(flops=2e19, rule="own"), known)
    assert "own runs" in told["rule"] and "Step Law" in told["rule"]
    with pytest.raises(SettingError, match="vary batch or lr"):
        make_plan(PlanSettings(flops=2e19, rule="own"), open_fit("epoch-refit"))


def test_tokens_at_hand_are_the_limit(known):
    told = make_plan(PlanSettings(flops=2e19, tokens=1e9), known)
    assert told["d"] == pytest.approx(1e9) and any("available tokens" in n for n in told["notes"])
    assert np.isfinite(told["loss"])
