"""`--dry-run` says what each step will do, what is off, and tokens that add up to the plan."""

from dataclasses import replace
from typing import Any

import pytest

from burnish.base.errors import UnknownNameError
from burnish.recipes import step_plan
from burnish.recipes.planning import Calibration, make_plan
from burnish.recipes.settings import PRESETS, CurateStageSettings, ScalingStageSettings
from burnish.recipes.step_plan import dry_run, planned_steps

MACHINE = Calibration(flops_per_s=1e9, bytes_per_s=1e8)
KINDS = ("generated_tokens", "prefilled_tokens", "trained_tokens")


def check_sums(settings: Any) -> None:
    steps = step_plan.planned_steps(settings, 10**6)
    plan = make_plan(settings, 10**6, MACHINE)
    for kind in KINDS:
        outer = sum(getattr(one.cost, kind) for one in steps if one.cost and not one.within)
        assert outer == getattr(plan, kind)
        inner = sum(getattr(one.cost, kind) for one in steps if one.cost and one.within)
        (rounds,) = [one.cost for one in steps if one.name == "rounds"]
        assert rounds is not None and inner <= getattr(rounds, kind)


def test_lines_add_up_to_the_plan() -> None:
    for preset in PRESETS.values():
        check_sums(preset())
        check_sums(replace(preset(), scaling=ScalingStageSettings(pilot_tasks=60)))


def test_planted_lines_of_the_first_step_only(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = step_plan.summed
    monkeypatch.setattr(step_plan, "summed", lambda costs: exact(costs[:1]))
    with pytest.raises(AssertionError):
        check_sums(PRESETS["quick"]())


def test_every_step_says_what_it_does_and_whether_it_is_on() -> None:
    quick = replace(PRESETS["quick"](), curate=CurateStageSettings(rule="xcoder"))
    steps = {one.name: one for one in planned_steps(quick, 10**6)}
    assert list(steps)[:6] == ["tasks", "before", "few-shot", "graph", "scaling", "rounds"]
    off = {name for name, one in steps.items() if one.cost is None}
    assert off == {"graph", "scaling", "stream", "taught", "critique", "prefer"}
    assert all(len(one.does) > 20 for one in steps.values())
    assert steps["curate"].line().startswith("    curate")
    assert "off: " in steps["scaling"].line() and "trained on)" in steps["teach"].line()
    assert steps["teach"].to_dict()["within"] == "rounds" and steps["graph"].to_dict()[
        "tokens"] is None  # fmt: skip


def test_a_dry_run_makes_nothing(settings: Any, tmp_path: Any) -> None:
    numbers, text = dry_run(settings, tmp_path)
    assert text.splitlines()[0].startswith("plan: about") and len(text.splitlines()) == 23
    assert numbers["minutes"] > 0 and numbers["steps"][0]["step"] == "tasks"
    assert not list(tmp_path.iterdir())
    with pytest.raises(UnknownNameError, match="Did you mean 'tasks'"):
        dry_run(replace(settings, steps=("task",)), tmp_path)
