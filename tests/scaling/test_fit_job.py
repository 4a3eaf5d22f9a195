"""The job of `scaling fit`, and the command."""

import json
from pathlib import Path

import pytest
from fixtures.planted_laws import CHINCHILLA

from burnish.base.files import read_json
from burnish.scaling.fit_job import fit_scaling, runs_as_json, runs_from_json
from burnish.scaling.runs import read_runs
from burnish.scaling.settings import DataSettings, FitSettings, ScalingFitSettings

KEYS = {"params", "objective", "intervals", "allocation_exponent", "condition", "holdout_error"}


def fit(path, folder, **given):
    settings = ScalingFitSettings(
        data=DataSettings(path=str(path)), fit=FitSettings(resamples=20, **given)
    )
    return fit_scaling(settings, folder=folder)


def test_a_run_holds_what_was_fitted(table, tmp_path):
    result = fit(table, tmp_path / "a")
    assert result["params"] == pytest.approx(CHINCHILLA, rel=5e-3)
    assert all(abs(result["params"][k] - CHINCHILLA[k]) < 1e-3 for k in ("alpha", "beta"))
    assert result["rmse_log_loss"] < 1e-6
    saved = read_json(Path(result["run"]) / "result.json")
    assert saved["page"]["verdict"] == result["page"]["verdict"]
    assert {block["title"] for block in saved["page"]["blocks"]} >= {
        "Runs and the law", "Residuals", "Parameters", "Notes"}  # fmt: skip
    again = fit(table, tmp_path / "a")
    assert again["params"] == result["params"]


def test_all_laws_make_a_page(table, tmp_path):
    result = fit(table, tmp_path / "b", law="all")
    assert "Laws, by extrapolation" in {b["title"] for b in result["page"]["blocks"]}
    assert result["law"] == "chinchilla"


def test_runs_are_read_as_written(table):
    runs = read_runs(DataSettings(path=str(table)))
    again = runs_from_json(json.loads(json.dumps(runs_as_json(runs))))
    assert runs_as_json(again) == runs_as_json(runs)


def test_the_command(table, burnish, tmp_path):
    done = burnish("scaling", "fit", table, "--resamples", 20, "--runs", tmp_path, "--json")
    assert done.status == 0 and done.json.keys() >= KEYS
    shown = burnish("scaling", "fit", table, "--resamples", 20, "--runs", tmp_path)
    assert "Allocation exponent" in shown.out and "next:   burnish scaling plan" in shown.out


def test_the_command_refuses_in_one_line(burnish, tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("Params,Tokens,Final Loss\n1e6,2e7,3.9\n2e6,4e7,3.6\n")
    done = burnish("scaling", "fit", path, "--runs", tmp_path)
    assert done.status == 2 and "--columns n=Params,d=Tokens,loss='Final Loss'" in done.err
    assert "Traceback" not in done.err
    path.write_text("n;d;loss\n1e6;2e7;3,9\n")
    done = burnish("scaling", "fit", path, "--runs", tmp_path)
    assert done.status == 2 and "x.csv:2" in done.err and "data.decimal=," in done.err
    path.write_text("n;d;loss\n1e6;2e7;3,9\n2e6;4e7;3,6\n")
    done = burnish("scaling", "fit", path, "--runs", tmp_path, "--set", "data.decimal=,")
    assert done.status == 2 and "needs at least 6 runs for its 5 parameters" in done.err
    assert burnish("scaling", "fit", tmp_path / "none.csv").status == 2
