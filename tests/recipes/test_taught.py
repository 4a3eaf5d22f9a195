"""`controls=full`: training on reference answers and on the model's own wrong ones."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from burnish.contracts.record import Record
from burnish.contracts.task import Task
from burnish.recipes.answering import read_answers
from burnish.recipes.improve import improve
from burnish.recipes.steps import taught
from burnish.recipes.steps.taught import Taught, references, wrong


def record(name: str, verdict: str, finish: str = "eos") -> Record:
    return Record(id=name, task_id=name[0], group="g", prompt="p", answer=name[1:], tokens=1,
                  verdict=verdict, finish=finish)  # fmt: skip


def check_lessons() -> None:
    sampled = [record("a1", "right"), record("a2", "wrong"), record("a2", "wrong"),
               record("b2", "wrong"), record("b3", "wrong", "length"),
               record("b4", "unparsable")]  # fmt: skip
    assert [(one.task_id, one.answer) for one in taught.wrong(sampled)] == [("a", "2"), ("b", "2")]
    given = {"prompt": "p", "group": "g", "checker": "number"}
    tasks = [Task(id="a", answer="1", **given), Task(id="b", answer="", **given),
             Task(id="c", answer="3", **given, metadata={"worked": "1+2=3"})]  # fmt: skip
    assert [(one.task_id, one.answer) for one in references(tasks)] == [("a", "1"), ("c", "1+2=3")]


def test_lessons_by_hand() -> None:
    check_lessons()


def test_planted_lessons_that_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taught, "wrong", list)
    with pytest.raises(AssertionError):
        check_lessons()


def test_controls_are_trained_and_compared(settings: Any, tmp_path: Path) -> None:
    steps = ("tasks", "before", "rounds", "after", "taught")
    full = replace(settings, rounds=1, controls="full", steps=steps)
    result = improve(full, runs=tmp_path)
    stages = Path(result["run"]) / "stages"
    after = read_answers(stages / "measure-after")
    models = {next(iter(after.values())).provenance["model"]}
    num_learned = result["rounds"][1]["num_selected"]
    for kind in ("reference", "wrong"):
        told = result["controls"][f"taught_{kind}"]
        answers = read_answers(stages / f"control-{kind}")
        right = sum(one.verdict == "right" for one in answers.values()) / 24
        best = sum(one.verdict == "right" for one in after.values()) / 24
        assert told["accuracy"]["value"] == right and 0 < told["num_lessons"] <= num_learned
        assert told["improved_less_this"]["value"] == pytest.approx(best - right)
        models.add(next(iter(answers.values())).provenance["model"])
    assert len(models) == 3  # each answered with a model of its own
    assert (
        result["controls"]["taught_reference"]["accuracy"]["value"]
        > (result["controls"]["taught_wrong"]["accuracy"]["value"])
    )


def test_usual_controls_train_nothing(settings: Any) -> None:
    part = Taught.configured(settings)
    assert (part.planned(), list(part.steps({}.__getitem__)), part.tell({}.__getitem__)) == (
        [], [], (),
    )  # fmt: skip
    assert wrong([]) == []
