"""Steps get exactly what they declared, and run again when it changes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fixtures.toy_job import Count, Double, Doublings, toy_job

from burnish.base.errors import SettingError
from burnish.base.runs import load_run
from burnish.base.stages import Stage
from burnish.jobs import runner
from burnish.jobs.job import Place, run_job
from burnish.jobs.runner import check_parts
from burnish.jobs.step import Given, Step, Value, constant


def stages_made(tmp_path: Path, text: str, **fields: Any) -> dict[str, str]:
    """What became of each stage when the job runs in one folder with that text."""
    job = toy_job(text, parts=[Count(**fields), Double()], fixed=True)
    same = job.__class__(**{**vars(job), "settings": {}})
    run = Path(run_job(same, Place(runs=tmp_path))["run"])
    events = [e for e in load_run(run).events() if e["kind"] in ("stage_started", "stage_reused")]
    return {event["stage"]: event["kind"] for event in events[-2:]}


def check_reuse(tmp_path: Path) -> None:
    assert set(stages_made(tmp_path, "abcde").values()) == {"stage_started"}
    assert set(stages_made(tmp_path, "abcde").values()) == {"stage_reused"}
    assert set(stages_made(tmp_path, "abcd").values()) == {"stage_started"}
    assert set(stages_made(tmp_path, "abcd", factor=3).values()) == {"stage_started"}
    # another text of the same length: counted again, with the same numbers, so nothing to double
    assert stages_made(tmp_path, "wxyz", factor=3) == {
        "count": "stage_started",
        "double": "stage_reused",
    }


def test_a_step_runs_again_when_what_it_reads_changes(tmp_path: Path) -> None:
    check_reuse(tmp_path)


def test_planted_key_without_what_is_read(tmp_path: Path, monkeypatch: Any) -> None:
    exact = runner.stage_inputs
    monkeypatch.setattr(runner, "stage_inputs", lambda *a: {**exact(*a), "reads": {}})
    with pytest.raises(AssertionError):
        check_reuse(tmp_path)


def check_guarded(tmp_path: Path) -> None:
    class Guarding(Count):
        guards = ("double",)

    def run(text: str) -> dict[str, Any]:
        job = toy_job(text, parts=[Guarding(), Double()], fixed=True)
        same = job.__class__(**{**vars(job), "settings": {}})
        return run_job(same, Place(folder=tmp_path / "run"))

    run("abcde")
    before = (tmp_path / "run" / "stages" / "double" / "done.json").read_bytes()
    with pytest.raises(SettingError, match="step 'double' has begun with other text"):
        run("abcd")
    run("abcde")
    assert (tmp_path / "run" / "stages" / "double" / "done.json").read_bytes() == before


def test_what_a_guarding_step_reads_is_fixed(tmp_path: Path) -> None:
    check_guarded(tmp_path)


def test_what_is_linked_from_another_run_guards_nothing(tmp_path: Path) -> None:
    class Guarding(Count):
        guards = ("double",)

    def run(text: str, name: str, **place: Any) -> dict[str, Any]:
        job = toy_job(text, parts=[Guarding(), Double()], fixed=True)
        same = job.__class__(**{**vars(job), "settings": {}})
        return run_job(same, Place(folder=tmp_path / name, **place))

    run("abcde", "first")
    run("abcd", "second", reuse=tmp_path / "first")
    with pytest.raises(SettingError, match="step 'double' has begun with other text"):
        run("abcde", "second")


def test_planted_guard_that_looks_away(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(runner, "check_guarded", lambda *given: None)
    with pytest.raises(pytest.fail.Exception):
        check_guarded(tmp_path)


@dataclass(frozen=True, kw_only=True)
class Peeking(Step):
    """Reads more than it declares."""

    name: str = "peeking"

    def make(self, stage: Stage, given: Given, meter: Any) -> dict[str, Any]:
        return {"seen": given["text"]}


def test_an_undeclared_value_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="undeclared"):
        run_job(toy_job(parts=[Peeking()]), Place(runs=tmp_path))


def test_a_value_that_nobody_writes_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"'countet'.*Did you mean 'counted'"):
        run_job(toy_job(parts=[Count(), Double(source="countet")]), Place(runs=tmp_path))
    assert not list(tmp_path.glob("*/stages"))
    check_parts([Count(), Doublings()], {"text": constant("x")})
    with pytest.raises(SettingError, match=r"doublings.*'counted'"):
        check_parts([Doublings()], {"text": constant("x")})


def test_what_a_composite_writes_inside_stays_inside(tmp_path: Path) -> None:
    parts = [Count(), Doublings(), Double(source="double-1")]
    with pytest.raises(SettingError, match="double-1"):
        run_job(toy_job(parts=parts), Place(runs=tmp_path))


def test_a_composite_ends_early(tmp_path: Path) -> None:
    result = run_job(toy_job("hello"), Place(runs=tmp_path))
    stages = {path.name for path in (Path(result["run"]) / "stages").iterdir()}
    assert stages == {"count", "double", "double-1", "double-2"}  # 8 -> 16 -> 32 > 20
    assert result["last"] == 32


def test_a_value_is_opened_once() -> None:
    opened: list[int] = []
    value = Value("k", lambda: opened.append(1) or "content")
    assert (value.content, value.content, opened) == ("content", "content", [1])
