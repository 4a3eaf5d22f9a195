"""Critique in the loop, as a run."""

from collections import Counter
from pathlib import Path

import pytest
from fixtures.critics import actor, chains

from burnish.base.errors import IncompleteError, InputError, SettingError
from burnish.base.records import read_json, write_records
from burnish.critique.wording import Wording
from burnish.jobs.job import Place
from burnish.recipes import critic_loop
from burnish.recipes.critic_loop import run_loop
from burnish.recipes.critic_settings import CriticLoopSettings
from burnish.train.settings import TrainSettings


def settings(model, **fields):
    given = {
        "model": str(model), "tasks": ("chain:sums?size=14&steps=2",), "critic": "scripted",
        "num_samples": 2, "num_refinements": 2, "max_new_tokens": 4, "num_dev": 5,
        "num_level_samples": 2, "wording": Wording(form="compact"),
        "train": TrainSettings(method="full", num_steps=1),
    }  # fmt: skip
    return CriticLoopSettings(**{**given, **fields})


@pytest.fixture
def planted_actor(monkeypatch):
    """The model's answers come from a simulated actor."""
    monkeypatch.setattr(critic_loop, "model_player", lambda *args: actor())


def check_run(model, runs):
    result = run_loop(settings(model, rounds=2), Place(runs=runs))
    assert [one["round"] for one in result["rounds"]] == [1, 2]
    assert [one["round"] for one in result["dev"]] == [0, 1, 2]
    assert all(one["num_refined_kept"] > 0 for one in result["rounds"])
    assert Path(result["model"]).is_dir()
    last = result["dev"][-1]["accuracy"]
    low, right, high = (f"{100 * last[name]:.1f}" for name in ("low", "value", "high"))
    assert result["page"]["verdict"] == (
        f"After 2 rounds {right}% of 5 development tasks are right ({low} to {high})."
    )
    assert result["page"]["good"] == "measured"
    shown = {b["title"]: b for b in result["page"]["blocks"] if b["block"] == "table"}
    table = shown["Development tasks, by round"]
    assert [row[0] for row in table["rows"]] == ["base model", 1, 2]
    assert table["columns"] == ["round", "accuracy", "low", "high", "n"]
    assert [row[1:] for row in table["rows"]] == [
        [one["accuracy"][name] for name in ("value", "low", "high", "n")] for one in result["dev"]
    ]
    assert [row[0] for row in shown["Rounds"]["rows"]] == [1, 2]
    assert [row[2] for row in shown["Rounds"]["rows"]] == [r["num_right"] for r in result["rounds"]]
    assert (Path(result["run"]) / "stages" / "gather-1" / "pairs.jsonl").read_text()


def test_a_loop_leaves_rounds_and_a_model(tiny_folder, tmp_path, planted_actor):
    check_run(tiny_folder("llama"), tmp_path)


def test_levels_are_drawn_once_from_the_base_model(tiny_folder, tmp_path, monkeypatch):
    drawn = []

    def player(handle, folder, *_):
        drawn.append((str(handle.spec), folder.parent.name, folder.name))
        return actor()

    monkeypatch.setattr(critic_loop, "model_player", player)
    result = run_loop(settings(tiny_folder("llama"), rounds=2), Place(runs=tmp_path))
    asked = [one for one in drawn if one[2] == "levels"]
    assert asked == [(str(tiny_folder("llama")), "dev-0", "levels")]
    levels = read_json(Path(result["run"]) / "stages" / "dev-0" / "levels.json")
    for one in result["dev"]:
        counts = {level: share["n"] for level, share in one["by_level"].items()}
        assert counts == Counter(map(str, levels.values()))


def test_planted_loop_without_its_critic(tiny_folder, tmp_path, planted_actor, monkeypatch):
    monkeypatch.setattr(critic_loop.GatherStep, "_critic", lambda *args: None)
    with pytest.raises(AssertionError):
        check_run(tiny_folder("llama"), tmp_path)


def test_nothing_gathered_is_told(tiny_folder, tmp_path):
    with pytest.raises(IncompleteError, match="gathered answers"):
        run_loop(settings(tiny_folder("llama"), critic="none"), Place(runs=tmp_path))


def test_too_few_tasks(tiny_folder, tmp_path):
    with pytest.raises(InputError, match="more than num_dev"):
        run_loop(settings(tiny_folder("llama"), num_dev=14), Place(runs=tmp_path))
    train, dev = critic_loop.loop_tasks(settings("", num_dev=13))
    assert (len(train), len(dev)) == (1, 13)


def test_other_tasks_do_not_throw_a_training_away(tiny_folder, tmp_path, planted_actor):
    """Once training has begun, the tasks of the same file are fixed; ids of rows do not matter."""
    path = tmp_path / "tasks.jsonl"
    rows = [{"id": str(i), "prompt": t.prompt, "answer": t.answer, "checker": "number"}
            for i, t in enumerate(chains(14, steps=2))]  # fmt: skip
    write_records(path, rows)
    plan = settings(tiny_folder("llama"), critic="none", tasks=(str(path),))
    run_loop(plan, Place(folder=tmp_path / "run"))
    assert run_loop(plan, Place(folder=tmp_path / "run"))["rounds"][0]["num_answers"] == 18
    write_records(path, [row | {"checker": "math"} for row in rows])
    with pytest.raises(SettingError, match="'teach-1' has begun with other tasks"):
        run_loop(plan, Place(folder=tmp_path / "run"))


@pytest.mark.parametrize(
    "wrong", [{"rounds": 0}, {"max_per_task": 0}, {"num_extra": -1}, {"temperature": -1.0},
              {"critic": "shuffled:none"}]
)  # fmt: skip
def test_wrong_settings(wrong):
    with pytest.raises(SettingError):
        CriticLoopSettings(**wrong)
