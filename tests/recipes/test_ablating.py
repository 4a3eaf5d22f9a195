"""`ablate`: one part off at a time, unchanged stages reused, rows that follow from the runs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from burnish.base.errors import MissingFileError, UnknownNameError
from burnish.base.records import read_json
from burnish.recipes.ablating import ablate, variants
from burnish.recipes.answering import read_answers
from burnish.recipes.settings import PRESETS, PreferStageSettings


def test_one_part_is_off_at_a_time(settings: Any) -> None:
    aligned = replace(settings, prefer=PreferStageSettings(loss="dpo"))
    aligned = replace(aligned, round_steps=(*settings.round_steps, "extra:x=1"))
    found = variants(aligned)
    assert list(found) == ["further rounds", "extra samples", "draft", "prefer", "extra"]
    for name, one in found.items():
        changed = [field for field in vars(one) if getattr(one, field) != getattr(aligned, field)]
        assert len(changed) == 1, name
    assert found["further rounds"].rounds == 1 and found["prefer"].prefer.loss == ""
    assert found["extra"].round_steps == settings.round_steps
    assert found["extra samples"].sample.num_extra == 0 and found["draft"].sample.draft == "plain"


def test_what_is_off_already_is_no_variant() -> None:
    assert list(variants(PRESETS["quick"]())) == ["draft"]


def test_the_table_follows_from_the_runs(settings: Any, tmp_path: Path) -> None:
    small = replace(settings, rounds=2)
    result = ablate(small, only=("further rounds", "draft"), runs=tmp_path)
    stages = Path(result["run"]) / "stages"
    full = read_answers(stages / "full" / "run" / "stages" / "measure-after")
    assert [row["off"] for row in result["rows"]] == ["", "further rounds", "draft"]
    for row, name in zip(result["rows"][1:], ["further-rounds", "draft"], strict=True):
        run = stages / f"without-{name}" / "run"
        own = read_answers(run / "stages" / "measure-after")
        right = [sum(one.verdict == "right" for one in rows.values()) for rows in (full, own)]
        assert row["added"]["value"] == pytest.approx((right[0] - right[1]) / 24)
        done = [read_json(path) for path in sorted((run / "stages").glob("sample-*/done.json"))]
        assert done and row["sampling_s"] == pytest.approx(sum(one["seconds"] for one in done))
        assert not list(run.rglob("*.safetensors"))
        events = [event["kind"] for event in _events(run)]
        assert events.count("stage_reused") >= 4  # tasks, before, the controls, the first samples
    assert (stages / "full" / "run" / "model").is_dir()
    assert result["rows"][2]["added"]["value"] == 0  # drafts change no text
    again = ablate(small, only=("further rounds", "draft"), runs=tmp_path)
    assert again["rows"] == result["rows"]


def _events(run: Path) -> list[dict[str, Any]]:
    from burnish.base.runs import load_run

    return list(load_run(run).events())


def test_an_unknown_part_is_refused(settings: Any, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="extra samples"):
        ablate(settings, only=("extra sample",), runs=tmp_path)
    assert not list(tmp_path.iterdir())


def test_planted_variant_that_changes_nothing(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from burnish.recipes import ablating

    monkeypatch.setattr(ablating, "replace", lambda one, **_: one)
    with pytest.raises(AssertionError):
        test_what_is_off_already_is_no_variant()
        test_one_part_is_off_at_a_time(settings)


def test_a_finished_ablation_is_known(settings: Any, tmp_path: Path) -> None:
    from burnish.recipes.kinds import job_of

    small = replace(settings, rounds=1)
    result = ablate(small, only=("draft",), runs=tmp_path)
    info = read_json(Path(result["run"]) / "run.json")
    assert [part.name for part in job_of(info).parts] == ["full", "without-draft"]


def test_tasks_that_are_not_there_leave_no_run(settings: Any, tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="must be a file or a source"):
        ablate(replace(settings, tasks=("gone.jsonl",)), runs=tmp_path)
    assert not list(tmp_path.iterdir())
