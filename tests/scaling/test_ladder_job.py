"""The job of `scaling ladder`, and the command."""

import json
from pathlib import Path

import numpy as np
from fixtures.planted_laws import CHINCHILLA, losses_of

from burnish.contracts.training_plan import read_plan
from burnish.scaling.ladder import cell_row

SMALL = CHINCHILLA | {"A": 40.0, "B": 60.0}


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
