"""The run of pick: every row has a reason."""

from pathlib import Path

import numpy as np
import pytest
from fixtures.curating import row

from burnish.base.errors import InputError, SettingError
from burnish.base.records import read_records, write_records
from burnish.curate import candidates, pick_job
from burnish.curate.pick_job import pick_rows
from burnish.curate.settings import PickSettings
from burnish.jobs.job import Place

CHAIN = [
    {"id": "A", "score": 3.0, "embedding": [1.0, 0.0]},
    {"id": "B", "score": 2.0, "embedding": [0.939693, 0.34202]},
    {"id": "C", "score": 1.0, "embedding": [0.766044, 0.642788]},
]


def picked(tmp_path, rows, tiny_folder, **given):
    write_records(tmp_path / "pool.jsonl", rows)
    settings = PickSettings(
        pool=str(tmp_path / "pool.jsonl"), model=str(tiny_folder()), **{"budget": 9, **given}
    )
    found = pick_rows(settings, Place(runs=tmp_path / "runs"))
    return found, read_records(Path(found["run"]) / "stages" / "pick" / "decisions.jsonl")


def test_every_row_has_a_reason(tmp_path, tiny_folder):
    found, decisions = picked(tmp_path, CHAIN, tiny_folder, threshold=0.9)
    assert found["picked"] == ["A", "C"]
    assert [(d["id"], d["reason"], d.get("of")) for d in decisions] == [
        ("A", "chosen", None), ("B", "near", "A"), ("C", "chosen", None)
    ]  # fmt: skip
    assert found["reasons"] == {"chosen": 2, "near": 1}
    assert found["curve"]["kept"]["0.9"][-1] == 2


def test_rows_are_embedded_and_counted(tmp_path, tiny_folder):
    rows = [row(i, f"river {i}", "hat " * (i + 1)) | {"complexity": i} for i in range(5)]
    rows += [rows[4] | {"id": "again"}, row("empty", "", "")]
    found, decisions = picked(tmp_path, rows, tiny_folder, budget=0, tokens=30, threshold=0.9999)
    assert found["num_tokens"] <= 30 and found["num_picked"] >= 1
    reasons = {d["id"]: d["reason"] for d in decisions}
    assert reasons["again"] == "near" and reasons["empty"] == "empty"


def test_aggregates_of_turns(tmp_path, tiny_folder):
    rows = [row("long", "a", "b") | {"turn_scores": [1] * 6},
            row("one", "c", "d") | {"turn_scores": [5]}]  # fmt: skip
    for turns, first in (("sum", "long"), ("mean", "one"), ("max", "one")):
        found, _ = picked(tmp_path, rows, tiny_folder, turns=turns, budget=1, threshold=1.0)
        assert found["picked"] == [first] and found["aggregate"] == turns


def test_rows_without_scores(tmp_path, tiny_folder):
    rows = [row(i, f"river {i}", "hat") for i in range(4)]
    with pytest.raises(InputError, match="curate score"):
        picked(tmp_path, rows, tiny_folder)
    found, _ = picked(tmp_path, rows, tiny_folder, rule="random", budget=2)
    assert found["num_picked"] == 2


def check_bad_embeddings(tmp_path, tiny_folder):
    """Each is named with its reason; none is fatal to the rest."""
    bad = [[1.0, 0.0, 0.0], [0.0, 0.0], ["x", 1.0], [float("inf"), 1.0], None, "no", []]
    rows = [*CHAIN, *({"id": f"bad-{i}", "score": 9.0, "embedding": v} for i, v in enumerate(bad)
                      if v != [float("inf"), 1.0])]  # fmt: skip
    found, decisions = picked(tmp_path, rows, tiny_folder, threshold=0.9)
    assert found["picked"] == ["A", "C"]
    assert found["reasons"] == {"chosen": 2, "near": 1, "bad embedding": 6}
    assert [d["reason"] for d in decisions[3:]] == ["bad embedding"] * 6


def test_bad_embeddings_are_named(tmp_path, tiny_folder):
    check_bad_embeddings(tmp_path, tiny_folder)


def test_planted_embeddings_of_any_width(tmp_path, tiny_folder, monkeypatch):
    monkeypatch.setattr(
        candidates, "given_vectors", lambda given, width: np.array(given, dtype=float)
    )
    with pytest.raises((AssertionError, ValueError)):
        check_bad_embeddings(tmp_path, tiny_folder)


def test_pools_without_a_usable_row(tmp_path, tiny_folder):
    with pytest.raises(InputError, match="It is empty"):
        picked(tmp_path, [], tiny_folder)
    with pytest.raises(SettingError, match="must be positive"):
        picked(tmp_path, CHAIN, tiny_folder, threshold=-1.0)


def test_the_curve_is_that_of_the_first_rows(tmp_path, tiny_folder, monkeypatch):
    """Of a large pool the curve covers a part, which does not depend on the rest."""
    rng = np.random.default_rng(0)
    rows = [{"id": i, "score": float(90 - i), "embedding": rng.normal(size=3).tolist()}
            for i in range(90)]  # fmt: skip
    whole, _ = picked(tmp_path, rows, tiny_folder)
    monkeypatch.setattr(pick_job, "CURVE_ROWS", 30)
    part, _ = picked(tmp_path, rows, tiny_folder, seed=1)
    assert part["curve"]["rows"][-1] == 30
    kept = dict(zip(whole["curve"]["rows"], whole["curve"]["kept"]["0.9"], strict=True))
    for at, count in zip(part["curve"]["rows"], part["curve"]["kept"]["0.9"], strict=True):
        assert kept.get(at, count) == count
    assert not list(tmp_path.rglob("vectors.npy"))
