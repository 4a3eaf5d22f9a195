"""Runs of `critique build` and `critique filter`: files, counts, and the same again."""

import json
from pathlib import Path

import pytest

from burnish.base.errors import (
    IncompleteError,
    InputError,
    MissingFileError,
    SettingError,
    UnknownNameError,
)
from burnish.base.records import read_records
from burnish.critique import build_job
from burnish.critique.build_job import build_critiques, filter_critiques
from burnish.critique.critics import read_triples
from burnish.critique.filters import FilterSettings
from burnish.critique.flaws import FlawSettings
from burnish.critique.processbench import read_processbench
from burnish.critique.settings import CritiqueBuildSettings, CritiqueFilterSettings
from burnish.critique.wording import Wording
from burnish.data.chains import chain_of, verify
from burnish.jobs.job import Place

PLAN = CritiqueBuildSettings(tasks=("chain:sums?size=12&steps=3",), wording=Wording(form="compact"))


def check_triples(runs):
    result = build_critiques(PLAN, Place(runs=runs))
    triples = read_triples(Path(result["triples"]))
    assert len(triples) == result["num_triples"] == sum(result["origins"].values())
    assert result["states"] == {"sound": len(triples)}
    assert result["verdict_agrees_frac"] == 1.0
    for triple in triples:
        one = triple.solution
        assert verify(chain_of(one.task), one.text).first_error == one.first_error
    assert len(read_processbench(Path(result["run"]) / "processbench.jsonl")) == len(triples)
    assert result["num_right"] / len(triples) == pytest.approx(0.3, abs=0.05)


def test_a_run_holds_triples(tmp_path):
    check_triples(tmp_path)


def test_planted_labels_that_are_guessed(tmp_path, monkeypatch):
    real = build_job.inserted_solutions
    monkeypatch.setattr(
        build_job,
        "inserted_solutions",
        lambda *a, **k: [type(s)(**{**vars(s), "first_error": 0}) for s in real(*a, **k)],
    )
    with pytest.raises(AssertionError):
        check_triples(tmp_path)


def test_a_filter_keeps_a_part(tmp_path, tiny_folder):
    built = build_critiques(PLAN, Place(runs=tmp_path))
    settings = CritiqueFilterSettings(
        triples=built["run"],
        model=str(tiny_folder("llama")),
        filter=FilterSettings(num_refinements=1, min_right=1),
        wording=PLAN.wording,
        max_new_tokens=3,
    )
    result = filter_critiques(settings, Place(runs=tmp_path))
    kept = read_triples(Path(result["triples"]))
    assert len(kept) == result["num_kept"] >= result["num_right_solutions"] - result["num_leaking"]
    assert all(t.solution.right for t in kept)  # a random model refines nothing


def test_wrong_input_leaves_no_run(tmp_path):
    with pytest.raises(MissingFileError):
        filter_critiques(CritiqueFilterSettings(triples="nowhere"), Place(runs=tmp_path))
    with pytest.raises(UnknownNameError):
        build_critiques(CritiqueBuildSettings(model="no/such/folder"), Place(runs=tmp_path))
    (tmp_path / "t.jsonl").write_text("{}\n")
    with pytest.raises(InputError, match="is not a triple"):
        filter_critiques(
            CritiqueFilterSettings(triples=str(tmp_path / "t.jsonl")), Place(runs=tmp_path)
        )
    assert [path.name for path in tmp_path.iterdir()] == ["t.jsonl"]
    for wrong in ({"tasks": ()}, {"limit": -1}, {"max_critique_tokens": 0}):
        with pytest.raises(SettingError):
            CritiqueBuildSettings(**wrong)
    with pytest.raises(UnknownNameError, match="calculation"):
        FlawSettings(kinds=("calcluation",))
    with pytest.raises(SettingError):
        FlawSettings(num_samples=-1)


def test_tasks_without_a_program_have_nothing_to_plant(tmp_path):
    (tmp_path / "t.jsonl").write_text(json.dumps({"prompt": "1+1", "answer": "2"}))
    settings = CritiqueBuildSettings(tasks=(str(tmp_path / "t.jsonl"),))
    with pytest.raises(IncompleteError, match="flawed solutions"):
        build_critiques(settings, Place(runs=tmp_path / "runs"))


def check_pairs(runs):
    """Each pair is of one task: its right steps, and steps of which the first wrong is known."""
    result = build_critiques(PLAN, Place(runs=runs))
    chains = {t.solution.task.prompt: chain_of(t.solution.task)
              for t in read_triples(Path(result["triples"]))}  # fmt: skip
    rows = list(read_records(Path(result["run"]) / "pairs.jsonl"))
    assert len(rows) == result["num_triples"] - result["num_right"]
    for row in rows:
        assert verify(chains[row["prompt"]], row["chosen"]).right
        assert not verify(chains[row["prompt"]], row["rejected"]).right


def test_pairs_are_right_over_flawed(tmp_path):
    check_pairs(tmp_path)


def test_planted_pairs_the_wrong_way(tmp_path, monkeypatch):
    real = build_job.pair_rows
    monkeypatch.setattr(
        build_job,
        "pair_rows",
        lambda *given: [
            r | {"chosen": r["rejected"], "rejected": r["chosen"]} for r in real(*given)
        ],
    )
    with pytest.raises(AssertionError):
        check_pairs(tmp_path)
