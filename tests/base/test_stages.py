"""Finished stages that a run takes over from another."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from burnish.base import stages
from burnish.base.errors import SettingError
from burnish.base.stages import Stage, StageResult, begun_here, link_stages, run_stage


def make_stage(run: Path, name: str, text: str, **inputs: Any) -> StageResult:
    def make(stage: Stage) -> dict[str, Any]:
        (stage.path / "text.txt").write_text(text)
        return {"text": text}

    told: dict[str, Any] = {"inputs": inputs, "version": "1", "event": lambda *_, **__: None}
    return run_stage(run / "stages", name, make=make, **told)


def test_linked_stages_stay_as_they_are(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    make_stage(old, "same", "a", x=1)
    make_stage(old, "other", "b", x=1)
    (old / "stages" / "unfinished").mkdir()
    link_stages(old, new)
    assert {one.name for one in (new / "stages").iterdir()} == {"same", "other"}
    assert make_stage(new, "same", "c", x=1).reused
    assert begun_here(old / "stages/same") and not begun_here(new / "stages/same")
    assert make_stage(new, "other", "d", x=2).output == {"text": "d"}
    assert begun_here(new / "stages/other") and not begun_here(new / "stages/none")
    assert (old / "stages/other/text.txt").read_text() == "b"
    assert make_stage(old, "other", "e", x=1).reused


def test_a_stage_that_is_there_is_kept(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    make_stage(old, "one", "a", x=1)
    make_stage(new, "one", "b", x=1)
    link_stages(old, new)
    assert (new / "stages/one/text.txt").read_text() == "b"


def test_a_stage_that_stops_tells_how_long_it_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter(range(100, 200, 7))
    told: list[tuple[str, dict[str, Any]]] = []

    def fails(_: Stage) -> dict[str, Any]:
        raise ValueError("no")

    monkeypatch.setattr(stages, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    given: dict[str, Any] = {
        "inputs": {},
        "version": "1",
        "event": lambda kind, **row: told.append((kind, row)),
    }
    with pytest.raises(ValueError, match="no"):
        run_stage(tmp_path, "a", make=fails, **given)
    assert told[-1][0] == "stage_stopped" and told[-1][1]["seconds"] == 7


def test_a_finished_stage_tells_its_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter([100.0, 107.0])
    monkeypatch.setattr(stages, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    used = SimpleNamespace(getrusage=lambda _: SimpleNamespace(ru_maxrss=3), RUSAGE_SELF=0)
    monkeypatch.setattr(stages, "resource", used)
    made = make_stage(tmp_path, "one", "a", x=1)
    assert made.peak_memory_bytes == 3 * 1024
    assert made.seconds == 7 and make_stage(tmp_path, "one", "a", x=1).seconds == 7


def test_a_stage_is_read_as_it_lies(tmp_path: Path) -> None:
    made = make_stage(tmp_path, "one", "a", x=1)
    found = stages.read_stage(tmp_path / "stages/one")
    assert (found.key, found.output, found.reused) == (made.key, {"text": "a"}, True)


def test_a_stage_is_named_like_a_folder(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"^stage name must be letters.*got '\.\./x'\. It names"):
        make_stage(tmp_path, "../x", "a")
