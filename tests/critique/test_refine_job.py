"""Runs of `critique refine`: turns, ledger, identities, and the page."""

from pathlib import Path

import pytest

from burnish.base.errors import SettingError
from burnish.base.records import read_records
from burnish.critique import refine_job
from burnish.critique.refine_job import refine_answers
from burnish.critique.refinement import RefineSettings
from burnish.critique.settings import CritiqueRefineSettings
from burnish.critique.wording import Wording
from burnish.jobs.job import Place


def settings(model, critic="scripted", **fields):
    return CritiqueRefineSettings(
        model=str(model),
        tasks=("chain:sums?size=3&steps=2",),
        critic=critic,
        refine=RefineSettings(num_paths=2, max_new_tokens=4, max_critique_tokens=4, **fields),
        wording=Wording(form="compact"),
        num_level_samples=2,
        max_plain_votes=3,
    )


def check_run(model, runs):
    result = refine_answers(settings(model), Place(runs=runs))
    turns = list(read_records(Path(result["run"]) / "stages" / "refine" / "turns.jsonl"))
    assert len(turns) == 3 * 2 * 2 and {turn["round"] for turn in turns} == {0, 1}
    assert sum(result["flips"][0].values()) == 6
    tokens = sum(t["actor_tokens"] + t["critic_tokens"] + t["prefilled_tokens"] for t in turns)
    assert result["tokens"]["per_path"] == pytest.approx(tokens / 6)
    assert result["detection"]["value"] == 1.0  # the program is never wrong
    assert (Path(result["run"]) / "report" / "index.html").is_file()


def test_a_run_holds_turns_and_a_ledger(tiny_folder, tmp_path):
    check_run(tiny_folder("llama"), tmp_path)


def test_planted_turns_that_are_lost(tiny_folder, tmp_path, monkeypatch):
    real = refine_job.refine
    monkeypatch.setattr(refine_job, "refine", lambda *a, **k: real(*a, **k)[:1] * 2)
    with pytest.raises(AssertionError):
        check_run(tiny_folder("llama"), tmp_path)


def test_no_critic_is_a_vote(tiny_folder, tmp_path):
    result = refine_answers(settings(tiny_folder("llama"), "none"), Place(runs=tmp_path))
    assert result["flips"] == [] and result["states"] == {}
    assert result["frontier"][0]["plain_votes"] == 1


def test_a_scripted_critic_needs_chains(tiny_folder, tmp_path):
    (tmp_path / "t.jsonl").write_text('{"prompt": "1+1", "answer": "2"}')
    plan = settings(tiny_folder("llama"))
    plan = type(plan)(**{**vars(plan), "tasks": (str(tmp_path / "t.jsonl"),)})
    with pytest.raises(SettingError, match="chains of sums"):
        refine_answers(plan, Place(runs=tmp_path / "runs"))
