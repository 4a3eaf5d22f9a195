"""Runs of `critique refine`: turns, ledger, identities, and the page."""

from dataclasses import replace
from pathlib import Path

import pytest

from burnish.base.errors import InputError, MissingFileError, SettingError
from burnish.base.meter import Meter
from burnish.base.records import read_records
from burnish.critique import refine_job
from burnish.critique.critics import tasks_of
from burnish.critique.refine_job import refine_answers
from burnish.critique.refinement import RefineSettings
from burnish.critique.scorer import score_answers
from burnish.critique.settings import CritiqueRefineSettings
from burnish.critique.wording import Wording
from burnish.jobs.job import Place
from burnish.models.load import load_model


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


def check_scores(model, runs):
    """A critic of its own answers: rows, tokens and the page; scores are the critic's own."""
    result = refine_answers(settings(model, "self"), Place(runs=runs))
    stage = Path(result["run"]) / "stages" / "refine"
    rows = list(read_records(stage / "scores.jsonl"))
    turns = [t for t in read_records(stage / "turns.jsonl") if t["round"] == 0]
    assert [(r["task_id"], r["path"]) for r in rows] == [(t["task_id"], t["path"]) for t in turns]
    tasks = {t.id: t.prompt for t in tasks_of(("chain:sums?size=3&steps=2",), seed=0, limit=0)}
    pairs = [(tasks[t["task_id"]], t["text"]) for t in turns]
    meter = Meter("s")
    found = score_answers(load_model(str(model)), pairs, Wording(form="compact"), meter=meter)
    assert [r["score"] for r in rows] == pytest.approx(
        [one.product for one in found], rel=1e-3, abs=0
    )
    totals = meter.totals()
    assert result["tokens"]["scorer"] == totals["prefilled"] + totals["scored"]
    last = result["selection"]["rows"][-1]
    per_answer = sum(t["actor_tokens"] + t["prefilled_tokens"] for t in turns) / len(turns)
    assert last["tokens"] == pytest.approx(2 * (per_answer + result["tokens"]["scorer"] / 6))
    assert {"best_of", "weighted", "majority", "plain_same_tokens"} <= last.keys()
    titles = [block["title"] for block in result["page"]["blocks"]]
    assert {"Choosing by score", "Best of K and votes by score"} <= set(titles)


def test_first_answers_are_chosen_by_score(tiny_folder, tmp_path):
    check_scores(tiny_folder("llama"), tmp_path)


def test_planted_scores_in_another_order(tiny_folder, tmp_path, monkeypatch):
    real = refine_job.score_rows
    turned = lambda turns, scoring: real(turns, replace(scoring, scores=scoring.scores[::-1]))  # noqa: E731
    monkeypatch.setattr(refine_job, "score_rows", turned)
    with pytest.raises(AssertionError):
        check_scores(tiny_folder("llama"), tmp_path)


def test_what_cannot_score_is_said(tiny_folder, tmp_path):
    result = refine_answers(settings(tiny_folder("llama")), Place(runs=tmp_path))
    assert result["selection"] is None and "local model" in result["scorer"]
    wrong = replace(settings(tiny_folder("llama")), scorer=str(tmp_path / "reward"))
    with pytest.raises(MissingFileError, match="scorer must be critic, none or a folder"):
        refine_answers(wrong, Place(runs=tmp_path / "none"))
    assert not (tmp_path / "none").exists()
    one = replace(settings(tiny_folder("llama")), limit=1)
    with pytest.raises(InputError, match="must be two or more"):
        refine_answers(one, Place(runs=tmp_path / "none"))


def test_a_reward_model_scores(tiny_folder, tmp_path):
    from transformers import AutoTokenizer, LlamaForSequenceClassification

    own = LlamaForSequenceClassification.from_pretrained(tiny_folder("llama"), num_labels=1)
    own.save_pretrained(tmp_path / "reward")
    AutoTokenizer.from_pretrained(tiny_folder("llama")).save_pretrained(tmp_path / "reward")
    plan = replace(settings(tiny_folder("llama"), "none"), scorer=str(tmp_path / "reward"))
    result = refine_answers(plan, Place(runs=tmp_path / "runs"))
    assert result["scorer"] == str(tmp_path / "reward") and result["tokens"]["scorer"] > 0
    assert result["flips"] == [] and len(result["selection"]["rows"]) == 2


def test_a_scripted_critic_needs_chains(tiny_folder, tmp_path):
    (tmp_path / "t.jsonl").write_text('{"prompt": "1+1", "answer": "2"}')
    plan = settings(tiny_folder("llama"))
    plan = type(plan)(**{**vars(plan), "tasks": (str(tmp_path / "t.jsonl"),)})
    with pytest.raises(SettingError, match="chains of sums"):
        refine_answers(plan, Place(runs=tmp_path / "runs"))
