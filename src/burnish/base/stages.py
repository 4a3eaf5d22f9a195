"""Stages of a run: each is kept with a key made from its inputs, and is never run twice."""

import dataclasses
import os
import re
import resource
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnish.base.canonical import content_hash, file_hash
from burnish.base.errors import SettingError
from burnish.base.files import read_json, write_json

KEY_FILE, DONE_FILE = "key.json", "done.json"
LINKED_FILE = "linked"  # in a stage that another run made

Event = Callable[..., None]


@dataclass(frozen=True, kw_only=True)
class Artefact:
    """A file that a stage left; `path` is relative to the stage's folder."""

    path: str
    sha256: str
    num_bytes: int


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What a stage's function works with; it writes files under `path` only.

    `resumed`: an earlier attempt with equal inputs was cut off, and its files are still there.
    """

    name: str
    path: Path
    resumed: bool
    record: Event

    def event(self, kind: str, /, **fields: Any) -> None:
        """Note something in the run's events, under this stage's name."""
        self.record(kind, stage=self.name, **fields)


@dataclass(frozen=True, kw_only=True)
class StageResult:
    """What a finished stage left. Give `key` to later stages that depend on it.

    `seconds` is the time of the attempt that finished; `reused` says that nothing was run now.
    `peak_memory_bytes`: the most that the process had held when the stage ended; 0 where an older
    version did not note it.
    """

    name: str
    key: str
    path: Path
    output: Mapping[str, Any]
    artefacts: tuple[Artefact, ...]
    seconds: float
    reused: bool
    peak_memory_bytes: int = 0


def run_stage(
    root: Path,
    name: str,
    *,
    make: Callable[[Stage], Mapping[str, Any]],
    inputs: Mapping[str, Any],
    version: str,
    event: Event,
) -> StageResult:
    """Return the stage in `root/name`: as it was left if inputs are equal, else made by `make`.

    A finished stage is reused if all its files are unchanged; an unfinished one goes on with the
    files that it has; in any other case the folder is emptied first. Survives SIGKILL anywhere.
    Source: ours. Oracle: tests/base/test_runs.py::test_a_killed_stage_goes_on_where_it_stopped
    """
    folder = root / _checked_name(name)
    key = content_hash({"stage": name, "inputs": inputs, "version": version})
    done = _verified(folder, key)
    if done is not None:
        event("stage_reused", stage=name, key=key)
        return _result(folder, done, reused=True)
    resumed = _attempt_key(folder) == key and not (folder / DONE_FILE).exists()
    if resumed:
        for left in folder.rglob(".*.tmp"):  # of atomic writes that were cut off
            left.unlink()
    else:
        _empty(folder)
        write_json(folder / KEY_FILE, {"key": key, "stage": name, "inputs": inputs})
    event("stage_resumed" if resumed else "stage_started", stage=name, key=key)
    started = time.monotonic()
    try:
        output = make(Stage(name=name, path=folder, resumed=resumed, record=event))
    except BaseException as error:  # also Ctrl-C: the events say how it ended
        seconds = round(time.monotonic() - started, 3)
        why = f"{type(error).__name__}: {error}"
        event("stage_stopped", stage=name, error=why, seconds=seconds)
        raise
    seconds = round(time.monotonic() - started, 3)
    artefacts = [dataclasses.asdict(artefact) for artefact in _artefacts(folder)]
    done = {"key": key, "output": output, "artefacts": artefacts, "seconds": seconds}
    done["peak_memory_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    write_json(folder / DONE_FILE, done)
    event("stage_done", stage=name, key=key, seconds=seconds, num_artefacts=len(artefacts))
    return _result(folder, read_json(folder / DONE_FILE), reused=False)


def link_stages(source: Path, target: Path) -> None:
    """Give the run `target` the finished stages of the run `source`, without copying a file.

    A stage is reused where its inputs are the same; any other is emptied before it is made, so no
    linked file is written to.
    Source: ours. Oracle: tests/base/test_stages.py::test_linked_stages_stay_as_they_are
    """
    for stage in sorted((source / "stages").iterdir()):
        place = target / "stages" / stage.name
        if (stage / DONE_FILE).is_file() and not place.exists():
            shutil.copytree(stage, place, copy_function=os.link)
            (place / LINKED_FILE).touch()


def begun_here(folder: Path) -> bool:
    """Whether a stage was begun by its own run, and not linked from another.

    Source: ours. Oracle: tests/base/test_stages.py::test_linked_stages_stay_as_they_are
    """
    return (folder / KEY_FILE).is_file() and not (folder / LINKED_FILE).exists()


def read_stage(folder: Path) -> StageResult:
    """A finished stage as it lies on disk, its files unchecked. Raises: MissingFileError."""
    return _result(folder, read_json(folder / DONE_FILE), reused=True)


def _checked_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        rule = "must be letters, digits, '.', '_' and '-'"
        raise SettingError("stage name", name, rule, remedy="It names a folder")
    return name


def _artefacts(folder: Path) -> list[Artefact]:
    own = (folder / KEY_FILE, folder / DONE_FILE, folder / LINKED_FILE)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path not in own)
    return [
        Artefact(
            path=path.relative_to(folder).as_posix(),
            sha256=file_hash(path),
            num_bytes=path.stat().st_size,
        )
        for path in files
    ]


def _verified(folder: Path, key: str) -> dict[str, Any] | None:
    """Return `done.json` if it has this key and every file is as it was, else None."""
    if not (folder / DONE_FILE).exists():
        return None
    done = read_json(folder / DONE_FILE)
    if done["key"] != key:
        return None
    for artefact in done["artefacts"]:
        path = folder / artefact["path"]
        if not path.is_file() or path.stat().st_size != artefact["num_bytes"]:
            return None
        if file_hash(path) != artefact["sha256"]:
            return None
    return done


def _attempt_key(folder: Path) -> str | None:
    path = folder / KEY_FILE
    return read_json(path)["key"] if path.exists() else None


def _empty(folder: Path) -> None:
    if folder.exists():
        (folder / KEY_FILE).unlink(missing_ok=True)  # first: a half-emptied folder has no key
        shutil.rmtree(folder)
    folder.mkdir(parents=True)


def _result(folder: Path, done: Mapping[str, Any], *, reused: bool) -> StageResult:
    return StageResult(
        name=folder.name,
        key=done["key"],
        path=folder,
        output=done["output"],
        artefacts=tuple(Artefact(**artefact) for artefact in done["artefacts"]),
        seconds=done["seconds"],
        reused=reused,
        peak_memory_bytes=done.get("peak_memory_bytes", 0),
    )
