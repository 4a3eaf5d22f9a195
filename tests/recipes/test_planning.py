"""Predictions: counts by walking through the stages, times by proportion, refusals."""

import itertools
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from burnish.base.errors import DoesNotFitError, MissingFileError, UnknownNameError
from burnish.recipes import planning
from burnish.recipes.planning import (
    Calibration,
    Plan,
    calibrate,
    check_fits,
    guess_params,
    make_plan,
    plan_improve,
)
from burnish.recipes.settings import (
    PRESETS,
    STEPS,
    ImproveSettings,
    SampleSettings,
    SpeedSettings,
    SplitSettings,
    preset,
)
from burnish.recipes.stage_settings import (
    CritiqueStageSettings,
    CurateStageSettings,
    PreferStageSettings,
    ScalingStageSettings,
)

ANSWER_TOKENS = 16
FIXED = ("speed", "general")  # what these take does not grow with the splits
SMALL = ImproveSettings(
    rounds=2,
    split=SplitSettings(train=50, dev=11, heldout=21),
    sample=SampleSettings(num_samples=3, num_extra=2),
    batch_size=10,
    steps=tuple(name for name in STEPS if name not in FIXED),
)
SLOW = Calibration(flops_per_s=1e9, bytes_per_s=1e8)
START_MINUTES = 0.75


def check_plan(plan_of: Callable[..., Plan]) -> None:
    plan = plan_of(SMALL, 10**6, SLOW)
    answers = 0
    for _ in range(SMALL.rounds):
        answers += 50 * 3 + 50 * 2  # at most: every task is hard
    answers += answers  # the vote
    answers += 21 + 21 + 21  # before, after, few-shot
    answers += 11 * 6  # few-shot in every form, at most
    answers += 11 * 3  # development: the base and each round
    assert plan.generated_tokens == answers * ANSWER_TOKENS
    prompts = 2 * (50 + 50) + 21 + 3 * 21 + 11 * 6 + 11 * 3  # samples, votes, and as above
    assert plan.prefilled_tokens == prompts * 32
    double = replace(SMALL, split=SplitSettings(train=100, dev=22, heldout=42))
    for name in ("generated_tokens", "prefilled_tokens", "trained_tokens"):
        assert getattr(plan_of(double, 10**6, SLOW), name) == 2 * getattr(plan, name)
    variable = plan.minutes - START_MINUTES
    assert variable > 0
    assert plan_of(double, 10**6, SLOW).minutes - START_MINUTES == pytest.approx(2 * variable)
    assert plan_of(SMALL, 3 * 10**6, SLOW).minutes - START_MINUTES == pytest.approx(3 * variable)
    fast = Calibration(flops_per_s=4e9, bytes_per_s=4e8)
    assert plan_of(SMALL, 10**6, fast).minutes - START_MINUTES == pytest.approx(variable / 4)
    # weights are read once for a batch, and computed with once for a row
    read = 2 * 10**6 / 1e8 * plan.generated_tokens / 60
    wide = plan_of(replace(SMALL, batch_size=20), 10**6, SLOW)
    assert plan.minutes - wide.minutes == pytest.approx(read / 10 - read / 20)
    assert plan_of(SMALL, 10**9, SLOW).memory_bytes - plan.memory_bytes >= 2 * (10**9 - 10**6)
    assert plan.to_dict()["minutes"] == plan.minutes
    assert plan.sentence().startswith("plan: about ")


def test_plan_scales() -> None:
    check_plan(make_plan)


def test_what_every_stage_costs_is_known() -> None:
    """All stages on: a new cost of one is a new number here."""
    whole = replace(
        SMALL,
        steps=STEPS,
        tasks=("chain:sums?size=200", "documents:x", "graph:y"),
        prefer=PreferStageSettings(loss="ld-dpo"),
        critique=CritiqueStageSettings(critic="self"),
        curate=CurateStageSettings(rule="xcoder"),
        scaling=ScalingStageSettings(pilot_tasks=13),
    )
    plan = make_plan(whole, 10**6, SLOW).to_dict()
    assert {name: round(value, 6) for name, value in plan.items()} == {
        "minutes": 23.627867,
        "memory_bytes": 2004000000,
        "disk_bytes": 120000000,
        "generated_tokens": 42304,
        "prefilled_tokens": 244000,
        "trained_tokens": 11904,
        "num_heldout": 21,
        "smallest_gain": 0.349839,
    }


def test_speed_is_measured_on_both_sides_in_every_turn() -> None:
    speed = SpeedSettings(repeats=3, num_prompts=5, new_tokens=7)
    steps = (*SMALL.steps, "speed")
    plans = [make_plan(s, 10**6, SLOW) for s in (SMALL, replace(SMALL, steps=steps, speed=speed))]
    assert plans[1].generated_tokens - plans[0].generated_tokens == 2 * (1 + 3) * 5 * 7


def test_planted_plan_forgets_the_rounds() -> None:
    with pytest.raises(AssertionError):
        check_plan(lambda settings, *given: make_plan(replace(settings, rounds=1), *given))


def test_planted_plan_forgets_the_batch() -> None:
    with pytest.raises(AssertionError):
        check_plan(lambda settings, *given: make_plan(replace(settings, batch_size=1), *given))


def test_full_training_takes_more_memory_than_adapters() -> None:
    full = replace(SMALL, train=replace(SMALL.train, method="full"))
    assert make_plan(full, 10**9, SLOW).memory_bytes > make_plan(SMALL, 10**9, SLOW).memory_bytes


def test_calibration_takes_the_best_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "_bf16_factor", lambda: 2.5)
    ticks = itertools.accumulate(itertools.cycle([1.0, 0.5]))  # products take half a second
    machine = calibrate(lambda: next(ticks))
    assert machine.flops_per_s == 2.5 * 2 * 512 * 1024 * 1024 / 0.5
    assert machine.bytes_per_s == 4096 * 4096 * 4 / 0.5


def test_what_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan(SMALL, 10**9, SLOW)
    monkeypatch.setattr(planning.os, "sysconf", {"SC_PAGE_SIZE": 1, "SC_PHYS_PAGES": 10**9}.get)
    with pytest.raises(DoesNotFitError, match=r"memory must hold .* GB, got '1\.0 GB'"):
        check_fits(plan, tmp_path)
    monkeypatch.setattr(planning.os, "sysconf", lambda name: 2**40)
    usage = SimpleNamespace(free=plan.disk_bytes - 1)
    monkeypatch.setattr(planning.shutil, "disk_usage", lambda place: usage)
    with pytest.raises(DoesNotFitError, match="Free some space"):
        check_fits(plan, tmp_path / "not" / "there" / "yet")
    usage.free += 1
    check_fits(plan, tmp_path)


def test_params_are_read_off_the_files(tiny_folder: Any, tiny_model: Any, tmp_path: Path) -> None:
    exact = sum(p.numel() for p in tiny_model("llama").network.parameters())
    assert guess_params(str(tiny_folder("llama"))) == pytest.approx(exact, rel=0.1)
    shutil.copytree(tiny_folder("llama"), tmp_path / "run" / "model")
    assert guess_params(str(tmp_path / "run")) == guess_params(str(tiny_folder("llama")))
    assert guess_params("smollm2-135m") == 134_515_008
    with pytest.raises(UnknownNameError, match="smollm2-135m"):
        guess_params("smollm2-135")


def test_wrong_sources_show_before_anything_is_made(tmp_path: Path) -> None:
    for spec, error in [
        (str(tmp_path / "none.jsonl"), MissingFileError),
        ("reasoning-gym:chain_some?size=100000000", UnknownNameError),
    ]:
        with pytest.raises(error):
            plan_improve(replace(SMALL, tasks=(spec,)), tmp_path)


def test_programs_have_room() -> None:
    """A program does not fit in the tokens of a sum; sums are asked for no longer answers."""
    usual, code = preset("quick"), preset("quick", ["programs:mbpp.jsonl", "gsm8k:x.jsonl"])
    assert preset("quick", ["tasks.jsonl"]) == usual
    assert (code.sample.max_new_tokens, code.measure.max_new_tokens) == (256, 256)
    assert replace(code, sample=usual.sample, measure=usual.measure) == usual
    words = preset("laptop", ["gsm8k:x.jsonl"])
    assert (words.sample.max_new_tokens, words.measure.max_new_tokens) == (192, 192)


def test_programs_are_long() -> None:
    """Time is planned for answers as long as the tasks ask for."""
    kinds = ("tasks.jsonl", "programs:mbpp.jsonl")
    short, long = (make_plan(replace(SMALL, tasks=(kind,)), 10**6, SLOW) for kind in kinds)
    assert long.generated_tokens * ANSWER_TOKENS == short.generated_tokens * 128
    assert long.trained_tokens * (32 + ANSWER_TOKENS) == short.trained_tokens * (32 + 128)
    assert long.prefilled_tokens == short.prefilled_tokens


def test_presets_are_sound() -> None:
    for name in PRESETS:
        settings = preset(name)
        least = 100 if name == "quick" else 200
        assert settings.tasks and settings.split.heldout >= least
        sizes = [int(spec.partition("size=")[2].partition("&")[0]) for spec in settings.tasks]
        wanted = settings.split.train + settings.split.dev + settings.split.heldout
        assert sum(sizes) >= wanted, name
    with pytest.raises(UnknownNameError, match="laptop"):
        preset("labtop")


@pytest.mark.parametrize(
    ("flags", "factor"), [("fpu avx512_bf16", 2.5), ("fpu amx_bf16", 2.5), ("fpu avx2", 1.0)]
)
def test_processors_that_multiply_bf16_are_faster(
    flags: str, factor: float, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = tmp_path / "cpuinfo"
    monkeypatch.setattr(planning, "Path", lambda _: told)
    assert planning._bf16_factor() == 1.0  # no such file
    told.write_text(flags)
    assert planning._bf16_factor() == factor
