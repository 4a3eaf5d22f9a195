"""Sampling with drafts: the same answers in fewer passes, planned once, recorded, resumable."""

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fixtures.improving import improve_until, numbers_of

from burnish.base.errors import UnknownNameError
from burnish.base.files import read_json
from burnish.base.log import RecordLog
from burnish.base.stats import Estimate
from burnish.draft import choice as choice_module
from burnish.draft.planner import DraftPlan
from burnish.engine.loop import Loop
from burnish.recipes import drafting as drafting_module
from burnish.recipes.drafting import Drafting
from burnish.recipes.improve import improve


@pytest.fixture
def planner(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Plants a planner that drafts for the base model; returns what it was asked."""
    asked: list[tuple[str, int]] = []

    def plan(model: Any, *, batch_size: int, **_: Any) -> DraftPlan:
        asked.append((model.spec, batch_size))
        speedup = Estimate(value=1.5, low=1.4, high=1.6, n=9)
        name = f"constant:token={frequent(model)},num=2"
        return DraftPlan(choice=name, speedup=speedup, batch_size=batch_size, plain_step_s=0.02)

    monkeypatch.setattr(choice_module, "plan_drafts", plan)
    monkeypatch.setattr(drafting_module, "LEAST_STEPS", 1)
    return asked


def frequent(model: Any) -> int:
    """The end of the guess "no", right behind its first token."""
    return int(model.tokenizer("no")["input_ids"][-1])


def answers_of(run: Path, stage: str) -> list[dict[str, Any]]:
    rows = list(RecordLog(run / "stages" / stage / "answers.jsonl").peek())
    return sorted(rows, key=lambda row: row["id"])


def spent(result: dict[str, Any], stage: str) -> dict[str, Any]:
    return result["cost"]["drafting"][stage]


def test_drafted_sampling_changes_no_answer(
    settings: Any, finished: Path, tmp_path: Path, planner: list[Any]
) -> None:
    result = improve(settings, runs=tmp_path)
    plain = read_json(finished / "result.json")
    run = Path(result["run"])
    assert numbers_of(read_json(run / "result.json")) == numbers_of(plain)
    for stage in ("sample-1", "sample-1-hard", "sample-2"):
        assert answers_of(run, stage) == answers_of(finished, stage)
        assert spent(result, stage)["choice"].startswith("constant:")
        assert spent(result, stage)["plan"]["speedup"]["value"] == 1.5
        assert spent(plain, stage) == {
            "choice": "plain", "reason": "too little to write to plan for", "plan": None,
        }  # fmt: skip
    assert planner[0] == (settings.model, settings.batch_size)
    assert len(planner) == len(set(planner))  # once for a model and a size
    counted = (read_json(r / "stages/sample-1/done.json") for r in (run, finished))
    drafted, undrafted = (one["output"]["metered"]["sample-1"] for one in counted)
    assert drafted["generated"] == undrafted["generated"]
    assert drafted["passes"] < undrafted["passes"]  # the planted acceptance


def test_killed_and_resumed_equals_straight(
    settings: Any, finished: Path, tmp_path: Path, planner: list[Any]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        improve_until(settings, tmp_path, "sample-1", 20, signal.SIGINT)
    result = improve(settings, runs=tmp_path)
    saved = read_json(Path(result["run"]) / "result.json")
    assert numbers_of(saved) == numbers_of(read_json(finished / "result.json"))
    assert spent(result, "sample-1")["choice"].startswith("constant:")
    assert len(answers_of(Path(result["run"]), "sample-1")) == 64


def test_plain_switches_it_off(
    settings: Any, finished: Path, tmp_path: Path, planner: list[Any]
) -> None:
    plain = replace(settings, sample=replace(settings.sample, draft="plain"))
    result = improve(plain, runs=tmp_path)
    assert planner == []
    assert spent(result, "sample-1")["reason"] == "asked for"
    assert numbers_of(result)["before"] == numbers_of(read_json(finished / "result.json"))["before"]


def test_planted_drafts_that_replace_the_draw(
    settings: Any, finished: Path, tmp_path: Path, planner: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A loop that takes the first draft for right writes other answers, and is seen."""
    from burnish.draft.loop import DraftedLoop

    exact = Loop.draw

    def trusting(self: Any, rows: Any, logits: Any) -> Any:
        if len(rows[0].tokens) == 1:
            logits = logits.clone()
            logits[:, 41] = 99.0
        return exact(self, rows, logits)

    monkeypatch.setattr(DraftedLoop, "draw", trusting)
    with pytest.raises((AssertionError, KeyError)):
        test_drafted_sampling_changes_no_answer(settings, finished, tmp_path, planner)


def test_too_little_is_not_planned_for(planner: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    monkeypatch.setattr(drafting_module, "LEAST_STEPS", 100)
    asked: list[int] = []
    monkeypatch.setattr(
        drafting_module, "choose", lambda model, draft, *, batch_size: asked.append(batch_size)
    )
    actor: Any = SimpleNamespace(key="k", model=None)
    drafting = Drafting(draft="auto")
    few = drafting.choose(actor, num_texts=10, new_tokens=9, batch_size=4)
    assert few.reason.startswith("too little") and asked == []
    for _ in range(2):
        drafting.choose(actor, num_texts=50, new_tokens=9, batch_size=4)
    assert asked == [4]


def test_a_typo_is_told_before_the_run_begins(settings: Any, tmp_path: Path) -> None:
    wrong = replace(settings, sample=replace(settings.sample, draft="frip"))
    with pytest.raises(UnknownNameError, match=r"Did you mean 'firp'"):
        improve(wrong, runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
