"""What a fit tells, and how laws are ranked."""

import numpy as np
import pytest
from fixtures.planted_laws import CHINCHILLA, grid_columns

from burnish.base.errors import InputError
from burnish.scaling import analyse as module
from burnish.scaling.analyse import LawReport, analyse, analyse_all
from burnish.scaling.settings import FitSettings

QUICK = FitSettings(resamples=0)
MOE = {"A": 300.0, "B": 900.0, "alpha": 0.31, "gamma": 0.11, "beta": 0.36, "sigma": 1.7}


def test_planted_law_in_every_number(planted):
    told = analyse("chinchilla", planted(), FitSettings(resamples=40)).told
    assert told["params"] == pytest.approx(CHINCHILLA, rel=1e-6)
    assert told["allocation_exponent"] == pytest.approx(0.37 / 0.71, abs=1e-6)
    assert told["holdout_error"] < 1e-6 < told["baseline_holdout"]["median"]
    assert told["objective"] < 1e-12 and told["identified"] and told["not_identified"] == []
    for name, (low, high) in told["intervals"].items():
        value = (told["params"] | {"allocation_exponent": 0.37 / 0.71})[name]
        assert low == pytest.approx(value, rel=1e-4) and high == pytest.approx(value, rel=1e-4)
    assert told["range"]["c"] == [1.2e16, 9e18] and told["condition"] > 1


def test_the_planted_law_ranks_first(planted):
    columns = grid_columns(sizes=np.geomspace(1e7, 1e9, 5), tokens=np.geomspace(2e8, 2e10, 4),
                           experts=((1.0, 1.0), (4.0, 1.0), (8.0, 2.0)))  # fmt: skip
    found = analyse_all(planted("experts", MOE, columns, noise=1e-4), QUICK).told
    ranking = [row["law"] for row in found["ranking"]]
    assert found["law"] == ranking[0]
    assert ranking.index("experts") < ranking.index("experts:variable=e")
    assert ranking.index("experts") < ranking.index("chinchilla") < ranking.index("compute")
    assert ranking[0] in ("experts", "experts:families=separate", "joint")
    why = {row["law"]: row["why"] for row in found["refused"]}
    assert {"krajewski", "three-term", "clark", "routed", "data", "size"} <= set(why)
    errors = [row["holdout_error"] for row in found["ranking"]]
    assert errors == sorted(errors)


def test_planted_ranking_by_fit_is_another(planted, monkeypatch):
    """A law that follows every run best but does not extrapolate must not rank first."""
    fake = {"chinchilla": 0.0, "gadre": 0.5}

    def told(spec, runs, settings, base=None):
        error = fake.get(spec)
        names = {"rmse_log_loss": 1 - (error or 0), "holdout_error": error, "aic": 0.0}
        return LawReport(fit=None, told=names | {"allocation_exponent": None, "identified": True})

    monkeypatch.setattr(module, "analyse", told)
    ranking = analyse_all(planted(), QUICK).told["ranking"]
    assert [row["law"] for row in ranking[:2]] == ["chinchilla", "gadre"]
    assert all(row["holdout_error"] is None for row in ranking[2:])


def test_a_fixed_offset_above_a_loss_names_the_lines(planted):
    with pytest.raises(InputError, match=r"lines .*13"):
        analyse("chinchilla", planted(), FitSettings(resamples=0, sigma=3.0))
    with pytest.raises(InputError, match="positive"):
        analyse("chinchilla", planted(), FitSettings(resamples=0, sigma=-1.0))


def test_the_papers_tension_is_told(planted):
    columns = grid_columns(
        sizes=np.geomspace(1e7, 1e9, 5), experts=((1.0, 1.0), (8.0, 2.0), (16.0, 1.0))
    )
    runs = planted("experts", MOE | {"gamma": 0.1}, columns)
    told = analyse("experts:families=separate", runs, QUICK).told
    assert told["allocation"].keys() == {"dense", "moe"}
    assert "0.507" in told["notes"][-1] and "separate exponents" in told["notes"][-1]
    assert "shared exponents" in analyse("experts", runs, QUICK).told["notes"][-1]
