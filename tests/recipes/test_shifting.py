"""Tasks unlike those trained on: their sources by hand, and both models' answers to them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fixtures.improving import task_rows, write_tasks

from burnish.base.errors import MissingFileError
from burnish.contracts.task import Task
from burnish.data.sources import load_tasks
from burnish.recipes import shifting
from burnish.recipes.answering import read_answers
from burnish.recipes.improve import improve
from burnish.recipes.settings import PRESETS, ShiftSettings
from burnish.recipes.shifting import draw_shifted, shifted_specs
from burnish.recipes.steps import parts_of
from burnish.recipes.steps.shifted import Shifted

GYM = "reasoning-gym:chain_sum?size=300&min_terms={}&max_terms={}&min_digits={}&max_digits={}"


def check_specs() -> None:
    known = {
        GYM.format(2, 3, 1, 2): "min_terms=4&max_terms=4&min_digits=1&max_digits=2&size=5",
        GYM.format(2, 2, 2, 2): "min_terms=2&max_terms=2&min_digits=3&max_digits=3&size=5",
        GYM.format(2, 2, 1, 2): "min_terms=2&max_terms=2&min_digits=3&max_digits=3&size=5",
    }
    for spec, query in known.items():
        found = shifted_specs([spec], ("auto",), 5)
        assert found == (f"reasoning-gym:chain_sum?{query}",), spec
    assert shifted_specs(["chain:sums?size=9&steps=2"], ("auto",), 5) == (
        "chain:sums?steps=3&size=5",
    )
    assert shifted_specs(["tasks.jsonl", "gsm8k:x"], ("auto",), 5) == ()
    assert shifted_specs(["chain:sums"], ("mine.jsonl",), 5) == ("mine.jsonl",)


def test_specs_by_hand() -> None:
    check_specs()


def test_none_are_wanted() -> None:
    for wanted in (("auto",), ("products?size=9",)):
        assert shifted_specs(PRESETS["quick"]().tasks, wanted, 0) == ()


def test_planted_shift_that_shifts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shifting, "_shifted", lambda spec: spec.replace("size=300&", ""))
    with pytest.raises(AssertionError):
        check_specs()


@pytest.mark.parametrize("name", PRESETS)
def test_shifted_tasks_of_presets_are_longer(name: str) -> None:
    settings = PRESETS[name]()
    specs = shifted_specs(settings.tasks, settings.shift.tasks, settings.shift.num)
    assert len(specs) == 3
    ours = max(len(t.prompt) for spec in settings.tasks[:1] for t in load_tasks(spec, seed=0))
    shifted = [len(t.prompt) for t in load_tasks(specs[0], seed=0)]
    assert sum(shifted) / len(shifted) > 0.8 * ours


def test_known_tasks_are_left_out(tmp_path: Path) -> None:
    spec = str(write_tasks(tmp_path / "t.jsonl", task_rows(20)))
    known: list[Task] = load_tasks(spec, seed=0)[:12]
    found = draw_shifted((spec, spec), known, 10, seed=0)
    assert len(found) == 8 and not {t.id for t in found} & {t.id for t in known}
    assert len({task.id for task in found}) == 8


def test_both_models_answer_shifted_tasks(settings: Any, tmp_path: Path) -> None:
    rows = [row | {"prompt": f"far {row['prompt']}"} for row in task_rows(10)]
    shift = ShiftSettings(tasks=(str(write_tasks(tmp_path / "far.jsonl", rows)),), num=8)
    steps = ("tasks", "before", "rounds", "after", "shifted")
    result = improve(replace(settings, rounds=1, shift=shift, steps=steps), runs=tmp_path / "runs")
    told, stages = result["controls"]["shifted"], Path(result["run"]) / "stages"
    right = []
    for side in ("before", "after"):
        answers = read_answers(stages / f"shifted-{side}").values()
        assert len(answers) == 8 and all(one.prompt.startswith("far ") for one in answers)
        right.append(sum(one.verdict == "right" for one in answers))
        assert told[side]["value"] == right[-1] / 8
    assert told["gain"]["value"] == pytest.approx((right[1] - right[0]) / 8)
    models = [next(iter(read_answers(stages / f"shifted-{side}").values())).provenance["model"]
              for side in ("before", "after")]  # fmt: skip
    assert models[0] != models[1]
    assert "gain on shifted tasks" in [claim["claim"] for claim in result["claims"]]


def test_tasks_without_a_harder_form_are_told(settings: Any) -> None:
    (part,) = (part for part in parts_of(settings) if isinstance(part, Shifted))
    assert part.planned() == []
    (told,) = part.tell({}.__getitem__)
    assert "shift.tasks" in told.blocks[0].text  # type: ignore[union-attr]


def test_a_missing_file_is_told_before_a_run(settings: Any, tmp_path: Path) -> None:
    shift = ShiftSettings(tasks=(str(tmp_path / "gone.jsonl"),))
    with pytest.raises(MissingFileError):
        improve(replace(settings, shift=shift), runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
