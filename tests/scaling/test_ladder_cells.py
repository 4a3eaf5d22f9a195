"""Ladders: cells, training them one by one, and checking on the largest."""

import dataclasses

import numpy as np
import pytest
from fixtures.planted_laws import CHINCHILLA, losses_of

from burnish.base.errors import SettingError
from burnish.scaling import ladder_cells as module
from burnish.scaling.ladder_cells import LadderSettings, cell_row, climb, ladder_cells, train_cells
from burnish.scaling.runs import Runs
from burnish.scaling.settings import FitSettings

SETTINGS = LadderSettings(
    sizes=(5e4, 1e5, 2e5, 4e5), ratios=(10, 20, 40), experts=(1,),
    fit=FitSettings(resamples=10),
)  # fmt: skip
SMALL = CHINCHILLA | {"A": 40.0, "B": 60.0}


def test_cells_are_all_there_and_in_order():
    cells = ladder_cells(dataclasses.replace(SETTINGS, experts=(1, 8), seeds=2))
    *inner, dense, sparse = cells
    assert len(inner) == 4 * 3 * 2 * 2 and len({cell.name for cell in cells}) == len(cells)
    flops = [cell.train_flops for cell in inner]
    assert flops == sorted(flops)
    assert dense.train_flops == sparse.train_flops == pytest.approx(4 * flops[-1])
    assert (dense.experts, sparse.experts, sparse.top_k) == (1, 8, 2)
    assert sparse.n_total == pytest.approx(3 * sparse.n) and dense.n_total == dense.n
    assert all(cell.loss is None for cell in cells)
    with pytest.raises(SettingError):
        LadderSettings(sizes=())
    with pytest.raises(SettingError):
        LadderSettings(factor=1.0)


def train_planted(cell, folder):
    columns = {"n": np.array([cell.n]), "d": np.array([cell.d_tokens])}
    return {"loss": float(losses_of("chinchilla", SMALL, columns)[0])}


def check_resumes(train_cells, tmp_path):
    cells, calls = ladder_cells(SETTINGS), []

    def train(cell, folder):
        calls.append(cell.name)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return train_planted(cell, folder)

    with pytest.raises(KeyboardInterrupt):
        list(train_cells(cells, train, tmp_path))
    rows = list(train_cells(cells, train, tmp_path))
    assert [row["name"] for row in rows] == [cell.name for cell in cells]
    assert len(calls) == len(cells) + 1  # only the one that was cut short is trained again
    assert list(train_cells(cells, train, tmp_path)) == rows and len(calls) == len(cells) + 1


def test_an_interrupted_ladder_resumes(tmp_path):
    check_resumes(train_cells, tmp_path)


def test_planted_ladder_that_begins_anew(tmp_path):
    def anew(cells, train, folder):
        yield from [cell_row(cell) | train(cell, folder) for cell in cells]

    with pytest.raises(AssertionError):
        check_resumes(anew, tmp_path)


def runs_of(rows):
    columns = {
        k: np.array([float(row[k]) for row in rows]) for k in ("n", "d", "c", "e", "k", "loss")
    }
    return Runs(columns=columns, given=(), lines=range(len(rows)), counts="non-embedding")


def test_a_planted_ladder_predicts_its_top(tmp_path):
    rows = list(train_cells(ladder_cells(SETTINGS), train_planted, tmp_path))
    told = climb(SETTINGS, runs_of(rows))
    said = told["prediction"]
    assert said["factor"] == pytest.approx(4) and said["num_held_out"] == 1
    assert abs(said["error"]) < 1e-5 < abs(said["compute_law_error"]) / 2
    assert 1 <= len(told["next"]) <= 5 and 0 < told["next"][0]["variance_cut"] < 1
    assert told["target"]["c"] == pytest.approx(4 * max(row["c"] for row in rows))
    offered = module.candidates(runs_of(rows))
    assert offered["c"].max() <= 2 * max(row["c"] for row in rows) and len(offered["c"]) > 20
