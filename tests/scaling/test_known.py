"""Fits to plan with."""

import numpy as np
import pytest

from burnish.base.errors import InputError, UnknownNameError
from burnish.scaling.fit_job import fit_scaling
from burnish.scaling.known import open_fit
from burnish.scaling.plan_job import plan_scaling
from burnish.scaling.settings import DataSettings, FitSettings, PlanSettings, ScalingFitSettings


@pytest.fixture(scope="module")
def run(table, tmp_path_factory):
    settings = ScalingFitSettings(data=DataSettings(path=str(table)), fit=FitSettings(resamples=30))
    return fit_scaling(settings, folder=tmp_path_factory.mktemp("run") / "fit")


def test_a_run_is_the_fit_it_holds(run):
    known = open_fit(run["run"])
    assert known.fit.natural == pytest.approx(run["params"])
    assert known.fit.draws.shape == (30, 5) and np.isfinite(known.fit.draws).all()
    assert known.largest_flops == pytest.approx(9e18) and known.most_experts == 1


def test_what_is_no_fit_is_refused(run, tmp_path):
    plan = plan_scaling(PlanSettings(flops=1e19), folder=tmp_path / "plan")
    with pytest.raises(InputError, match="scaling fit"):
        open_fit(plan["run"])
    with pytest.raises(UnknownNameError, match="epoch"):
        open_fit("epohc")
