"""The pilot: what samples teach and cost, which side learns, and losses of what was trained."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fixtures.training import FULL

from burnish.base.meter import Meter
from burnish.contracts.record import Record
from burnish.contracts.task import Task
from burnish.models.handle import ModelHandle
from burnish.recipes import piloting
from burnish.recipes.piloting import (
    PilotSizes,
    as_planned,
    default_steps,
    options,
    passes_of,
    pilot_losses,
)
from burnish.recipes.settings import (
    ImproveSettings,
    SampleSettings,
    ScalingStageSettings,
    SelectSettings,
    SplitSettings,
)


def record(task: str, number: int, verdict: str, answer: str = "7") -> Record:
    return Record(id=f"{task}/{number}", task_id=task, group="g", prompt=f"say {task}",
                  answer=answer, tokens=5, finish="eos", verdict=verdict)  # fmt: skip


def settings_of(extra: int) -> ImproveSettings:
    return ImproveSettings(
        split=SplitSettings(train=10, dev=1, heldout=2),
        sample=SampleSettings(num_samples=1, num_extra=extra),
        select=SelectSettings(max_per_task=1),
    )


ANSWERS = [record("a", 0, "right"), record("a", 1, "wrong"), record("a", 2, "wrong"),
           record("b", 0, "right"), record("b", 1, "right"), record("b", 2, "right")]  # fmt: skip


def check_options() -> None:
    # a is right in one of three samples, b always; a prompt has 4 tokens, an answer 5; 10 tasks
    one, two, three = options(ANSWERS, 4.0, settings_of(0), 3)
    shares = [(1 / 3 + 1) / 2, (2 / 3 + 1) / 2, 1.0]
    assert [o.num_samples for o in (one, two, three)] == [1, 2, 3]
    assert [o.num_examples for o in (one, two, three)] == pytest.approx([10 * s for s in shares])
    tokens = [10 * (4 + 5 * num) for num in (1, 2, 3)]
    assert [o.sampling_tokens for o in (one, two, three)] == pytest.approx(tokens)
    # with one extra sample a is asked again in two of three orders, and right in one more
    first, second = options(ANSWERS, 4.0, settings_of(1), 3)
    assert first.num_examples == pytest.approx(10 * (2 / 3 + 1) / 2)
    assert first.sampling_tokens == pytest.approx(10 * (9 + (2 / 3) * 9 / 2))
    assert second.num_samples == 2


def test_options_by_hand() -> None:
    check_options()


def test_planted_options_that_count_wrong_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piloting, "select_right", lambda pool, _: list(pool))
    with pytest.raises(AssertionError):
        check_options()


def check_parts() -> None:
    dev = [Task(id="b", prompt="say b", answer="7", group="g", checker="exact")]
    learned, measured = piloting.parts_of_pilot(ANSWERS, dev, SelectSettings(max_per_task=2))
    assert [one.id for one in learned] == ["a/0"]
    assert [one.id for one in measured] == ["b/0"]  # equal texts count once


def test_nothing_is_learned_of_dev_tasks() -> None:
    check_parts()


def test_planted_pilot_that_learns_all(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = piloting.parts_of_pilot
    monkeypatch.setattr(piloting, "parts_of_pilot", lambda answers, _, select: exact(
        answers, [], select))  # fmt: skip
    with pytest.raises(AssertionError):
        check_parts()


def test_steps_and_passes_of_the_settings() -> None:
    train = replace(FULL, epochs=3, examples_per_step=8)
    assert default_steps(train, 17) == 9 and passes_of(train, 17) == 3
    fixed = replace(train, num_steps=10)
    assert default_steps(fixed, 17) == 10 and passes_of(fixed, 16) == 5


def test_pilot_tasks_are_drawn_and_in_order() -> None:
    tasks = [Task(id=str(i), prompt=str(i), answer="7", group="g", checker="exact")
             for i in range(9)]  # fmt: skip
    drawn = PilotSizes(num_tasks=4, num_samples=1, seed=3).tasks(tasks)
    places = [int(one.id) for one in drawn]
    assert len(set(places)) == 4 and places == sorted(places) != [0, 1, 2, 3]
    assert len(PilotSizes(num_tasks=40, num_samples=1, seed=3).tasks(tasks)) == 9


def check_losses(folder: Path, tiny: Path) -> None:
    learned = [record(name, 0, "right") for name in "abcd"]
    measured = [record("y", 0, "right"), record("x", 0, "right"), record("x", 1, "right", "no")]
    actor = ModelHandle(str(tiny), precision="fp32", device="cpu")
    found = {}
    for num_steps in (1, 12):
        place = folder / str(num_steps)
        place.mkdir()
        train = replace(FULL, num_steps=num_steps, learning_rate=1e-2)
        found[num_steps] = pilot_losses(place, actor, learned, measured, train, Meter("t"))
        assert len(found[num_steps]) == 2 and not list(place.iterdir())
    assert found[12][1] < found[1][1] - 0.5  # y, whose answer is the one that was learned
    gains = [before - after for before, after in zip(found[1], found[12], strict=True)]
    assert gains[1] > gains[0]  # x also has an answer that was not


def test_losses_are_of_the_trained_model(tiny_folder: Any, tmp_path: Path) -> None:
    check_losses(tmp_path, tiny_folder("llama"))


def test_planted_losses_of_the_untrained_model(
    tiny_folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from burnish.models.load import load_model

    monkeypatch.setattr(piloting, "merged", lambda model, _: load_model(
        str(model.folder), precision="fp32", device="cpu"))  # fmt: skip
    with pytest.raises(AssertionError):
        check_losses(tmp_path, tiny_folder("llama"))


def test_settings_follow_the_plan() -> None:
    on = replace(settings_of(0), scaling=ScalingStageSettings(pilot_tasks=5))
    plan = {"plan": {"num_samples": 6, "num_steps": 17}}
    told = as_planned(on, lambda _: plan)
    assert (told.sample.num_samples, told.train.num_steps) == (6, 17)
    assert as_planned(on, lambda _: {"plan": None}) == on
    assert as_planned(settings_of(0), lambda _: plan) == settings_of(0)
