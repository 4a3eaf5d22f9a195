"""`curate` in a round: leaks go, a part is picked, and the model learns from exactly that."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from burnish.base.errors import SettingError
from burnish.base.records import read_records
from burnish.contracts.record import Record
from burnish.data.tasks import make_task
from burnish.recipes.ablating import variants
from burnish.recipes.improve import improve
from burnish.recipes.settings import CurateStageSettings
from burnish.recipes.steps import curate
from burnish.recipes.steps.curate import without_leaks

RULE = CurateStageSettings(rule="xcoder", keep_frac=0.5, scorer="length", threshold=1.0)


def learned(a: int, b: int, text: str = "What is {a} + {b}?") -> Record:
    prompt, answer = text.format(a=a, b=b), str(a + b)
    return Record(id=prompt, task_id=prompt, group="g", prompt=prompt, answer=answer, tokens=2,
                  extracted=answer, verdict="right", finish="eos")  # fmt: skip


def check_leaks() -> None:
    held = [make_task(f"What is {a} + 71?", str(a + 71), group="g", checker="number")
            for a in range(20, 40)]  # fmt: skip
    clean = [learned(a, 45) for a in range(50, 80)]
    same = [learned(a, 71) for a in range(20, 25)]
    renamed = [learned(a, 71, "Ada had {a} stamps and got {b} more.") for a in range(30, 33)]
    left = curate.without_leaks([*same, *clean, *renamed], held)
    assert [one.id for one in left] == [one.id for one in clean]
    assert without_leaks(clean, held) == clean


def test_planted_leaks_are_removed() -> None:
    check_leaks()


def test_planted_curation_that_keeps_leaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curate, "without_leaks", lambda records, measured: list(records))
    with pytest.raises(AssertionError):
        check_leaks()


def test_leaks_are_removed_and_a_part_is_picked(settings: Any, tmp_path: Path) -> None:
    steps = ("tasks", "before", "rounds", "after", "leaks")
    result = improve(replace(settings, rounds=1, curate=RULE, steps=steps), runs=tmp_path)
    (told,) = result["curate"]
    stages = Path(result["run"]) / "stages"
    files = {"select-1": "selected.jsonl", "curate-1": "curated.jsonl"}
    rows = {
        name: [row["id"] for row in read_records(stages / name / file)]
        for name, file in files.items()
    }
    assert told["num_selected"] == len(rows["select-1"]) > len(rows["curate-1"]) == told["num_kept"]
    clean = told["num_selected"] - told["num_leaks"]
    assert told["num_kept"] == round(clean / 2)
    assert set(rows["curate-1"]) <= set(rows["select-1"])
    assert result["rounds"][1]["num_selected"] == told["num_kept"]
    assert result["leaked"]["num_learned"] in (0, told["num_kept"])  # 0: the base model was kept
    assert any(claim["claim"].startswith("curate-1") for claim in result["claims"])


def test_the_stage_is_ablated_where_it_is_on(settings: Any) -> None:
    assert variants(replace(settings, curate=RULE))["curate"].curate.rule == ""
    assert "curate" not in variants(settings)


def test_a_wrong_share_is_refused() -> None:
    with pytest.raises(SettingError, match="must lie in"):
        CurateStageSettings(keep_frac=0.0)
