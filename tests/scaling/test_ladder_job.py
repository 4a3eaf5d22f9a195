"""The job of `scaling ladder`, and the command."""

import json
from pathlib import Path

import numpy as np
import pytest
from fixtures.planted_laws import CHINCHILLA, losses_of

from burnish.contracts.training_plan import read_plan
from burnish.jobs.job import Place, run_job
from burnish.jobs.step import Value
from burnish.scaling.ladder_cells import LadderSettings, cell_row
from burnish.scaling.ladder_job import ladder_job
from burnish.scaling.settings import FitSettings

SMALL = CHINCHILLA | {"A": 40.0, "B": 60.0}


def losses_in(loss_of):
    """A trainer that trains nothing: a cell's loss follows from its plan."""
    return lambda cell, folder: {"loss": loss_of(cell), "seconds": 1.0}


def check_trained(settings, loss_of, folder):
    trainer = Value("planted", lambda: losses_in(loss_of))
    result = run_job(ladder_job(settings, trainer), Place(folder=folder))
    assert [row["name"] for row in result["trained"]] == [c["name"] for c in result["cells"]]
    assert abs(result["prediction"]["error"]) < 1e-4
    assert result["prediction"]["num_held_out"] == 1
    return result


def planted_loss(cell):
    columns = {"n": np.array([cell.n]), "d": np.array([cell.d_tokens])}
    return float(losses_of("chinchilla", SMALL, columns)[0])


def test_trained_cells_are_fitted(tmp_path):
    settings = LadderSettings(corpus="x", fit=FitSettings(resamples=5))
    check_trained(settings, planted_loss, tmp_path / "a")


def test_planted_loss_of_another_cell(tmp_path):
    """A trainer that mixes up its largest cell is seen in the prediction."""
    settings = LadderSettings(corpus="x", fit=FitSettings(resamples=5))
    with pytest.raises(AssertionError):
        wrong = lambda cell: planted_loss(cell) * (1.02 if "held" in cell.name else 1)  # noqa: E731
        check_trained(settings, wrong, tmp_path)


def test_cells_then_results(burnish, tmp_path):
    """Cells go out as plans; their losses come back as a table; the largest is predicted."""
    words = ("scaling", "ladder", "--sizes", "5e4,1e5,2e5,4e5", "--ratios", "10,20,40")
    done = burnish(*words, "--runs", tmp_path, "--json")
    assert done.status == 0 and len(done.json["cells"]) == 13
    plans = [read_plan(path) for path in sorted(Path(done.json["plans"]).glob("*.json"))]
    assert plans[-1].name.startswith("held-out")
    rows = []
    for plan in plans:
        columns = {"n": np.array([plan.n]), "d": np.array([plan.d_tokens])}
        loss = float(losses_of("chinchilla", SMALL, columns)[0])
        rows.append(cell_row(plan) | {"loss": loss})
    results = tmp_path / "cells.jsonl"
    results.write_text("".join(json.dumps(row) + "\n" for row in rows))
    more = ("--set", "fit.resamples=10", "--runs", tmp_path)
    found = burnish("scaling", "ladder", results, *more, "--json").json
    assert abs(found["prediction"]["error"]) < 1e-4 and found["next"]
    shown = burnish("scaling", "ladder", results, *more)
    assert "predicts the largest run within" in shown.out and "Next runs" in shown.out
