"""A run is a folder: settings, events, results. An interrupted run resumes."""

import datetime
import fcntl
import itertools
import os
import secrets
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Self

import burnish
from burnish.base import provenance
from burnish.base.canonical import content_hash, jsonable
from burnish.base.errors import (
    InputError,
    MissingExtraError,
    MissingFileError,
    SettingError,
    StorageError,
    UnknownNameError,
)
from burnish.base.files import nearest_paths, read_json, storage_errors, write_json
from burnish.base.log import RecordLog
from burnish.base.naming import suggest
from burnish.base.stages import KEY_FILE, Stage, StageResult, run_stage

RUN_FILE, RESULT_FILE, EVENTS_FILE, LOCK_FILE = "run.json", "result.json", "events.jsonl", "lock"
LAST = "last"
RESUMES = "repeat the command to resume"
WRONG_USE = (InputError, MissingExtraError, MissingFileError, SettingError, UnknownNameError)


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """A run as it lies on disk, for reading only. `info` is its `run.json`."""

    path: Path
    info: Mapping[str, Any]

    @property
    def complete(self) -> bool:
        """Whether the run has saved its result."""
        return (self.path / RESULT_FILE).is_file()

    @cached_property
    def result(self) -> dict[str, Any]:
        """The saved result. Raises: MissingFileError, if the run is not complete."""
        if not self.complete:
            remedy = "Repeat the command: interrupted runs resume"
            raise MissingFileError("result of run", str(self.path), "is not there", remedy=remedy)
        return read_json(self.path / RESULT_FILE)

    def events(self) -> list[dict[str, Any]]:
        """All events so far, oldest first; one that is just being written is left out."""
        path = self.path / EVENTS_FILE
        return RecordLog(path).peek()


class Run:
    """A run that this process writes; made by `open_run`, used in a `with`."""

    def __init__(
        self,
        path: Path,
        info: Mapping[str, Any],
        lock: IO[str],
        *,
        resumed: bool,
        given_folder: bool = False,
    ):
        self.path, self.info, self.resumed = path, info, resumed
        self._given_folder = given_folder  # it was there before
        self.key, self.seed = str(info["key"]), int(info["seed"])
        self._lock = lock
        self._events = RecordLog(path / EVENTS_FILE)

    def event(self, kind: str, /, **fields: Any) -> None:
        """Append to `events.jsonl`: the time [s since 1970], the kind and any fields."""
        self._events.append({"time": round(time.time(), 3), "kind": kind, **fields})

    def stage(
        self, name: str, make: Callable[[Stage], Mapping[str, Any]], /, **inputs: Any
    ) -> StageResult:
        """Run a stage, or take it up again, or reuse it: see `burnish.base.stages.run_stage`.

        `inputs` is everything that the outcome depends on: settings, and the keys or hashes of
        earlier stages and files.
        """
        return run_stage(
            self.path / "stages",
            name,
            make=make,
            inputs=inputs,
            version=burnish.__version__,
            event=self.event,
        )

    def save_result(self, result: Mapping[str, Any]) -> None:
        """Write `result.json`, at once and whole."""
        write_json(self.path / RESULT_FILE, result)
        self.event("result_saved")

    def discard_if_empty(self) -> None:
        """Remove a run that this process began and in which no stage has left anything.

        Wrong input then leaves no folder. One that the caller made stays, and is empty.
        Source: ours. Oracle: tests/base/test_runs.py::test_wrong_input_leaves_no_run
        """
        stages = self.path / "stages"
        made = (path for path in stages.rglob("*") if path.is_file() and path.name != KEY_FILE)
        if self.resumed or next(made, None) is not None:
            return
        for path in (self.path / RUN_FILE, self.path / EVENTS_FILE, self.path / LOCK_FILE):
            path.unlink(missing_ok=True)
        shutil.rmtree(stages, ignore_errors=True)
        if not self._given_folder and not any(self.path.iterdir()):
            self.path.rmdir()
        _point_last_to_newest(self.path.parent)

    def close(self) -> None:
        """Let go of the folder, so that another process may open the run."""
        self._events.close()
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        told = RESUMES in getattr(error, "__notes__", ())  # by a run inside this one
        if isinstance(error, KeyboardInterrupt) and not told:  # for the caller that prints it
            error.add_note(RESUMES)
        self.close()
        if isinstance(error, WRONG_USE):
            self.discard_if_empty()


def open_run(
    what: str,
    *,
    settings: Mapping[str, Any],
    seed: int,
    root: Path = Path("runs"),
    folder: Path | None = None,
    fresh: bool = False,
    command: Sequence[str] = (),
) -> Run:
    """Resume the newest run with the same `what`, settings, seed and version, or start one.

    A new run lies in `root/<date>-<what>-<key>`, or in `folder`; `fresh` always begins one.
    Raises: SettingError, if `folder` holds another run; StorageError, if a process writes it.
    """
    settings, root = jsonable(settings), Path(root)
    key = content_hash([what, settings, seed, burnish.__version__])
    found = None if fresh or folder is not None else _newest(root, key)
    given_folder = folder is not None and Path(folder).is_dir()
    if folder is not None:
        found = _claimed(Path(folder), key, fresh=fresh)
    if found is not None:
        lock = _lock(found)
    else:
        day = datetime.date.today().isoformat()
        first = root / f"{day}-{what}-{key[:8]}" if folder is None else Path(folder)
        found, lock = _new_folder(first, exact=folder is not None)
    path = found / RUN_FILE
    resumed, code = path.exists(), provenance.code_hash()
    try:
        if not resumed:
            request = {"key": key, "what": what, "settings": settings, "seed": seed}
            write_json(path, {**request, "command": list(command), **_circumstances(code)})
        run = Run(found, read_json(path), lock, resumed=resumed, given_folder=given_folder)
    except BaseException:  # a full disk, Ctrl-C: the folder must not stay locked
        lock.close()
        raise
    run.event("run_resumed" if resumed else "run_started", command=list(command), pid=os.getpid())
    if run.info["code_hash"] != code:
        run.event("code_changed", code_hash=code)
    _point_last(found, root)
    return run


def load_run(path: Path | str) -> RunRecord:
    """Read a run's folder. Raises: MissingFileError, with the nearest names."""
    path = Path(path)
    if (path / RUN_FILE).is_file():
        return RunRecord(path=path, info=read_json(path / RUN_FILE))
    if path.is_dir():
        inside = [run.path.name for run in find_runs(path)]
        remedy = suggest("", inside) if inside else "It holds no run.json"
        raise MissingFileError("run", str(path), "is a folder that is not a run", remedy=remedy)
    raise MissingFileError("run", str(path), "does not exist", remedy=nearest_paths(path))


def find_runs(root: Path | str = "runs") -> list[RunRecord]:
    """All runs directly under `root`, newest first."""
    paths = [path.parent for path in Path(root).glob(f"*/{RUN_FILE}")]
    runs = [load_run(path) for path in paths if not path.is_symlink()]
    return sorted(runs, key=lambda run: (run.info["created"], run.path.name), reverse=True)


def files_outside_runs(folder: Path) -> list[Path]:
    """All files below a folder, sorted, but for what runs left there: they are nobody's data.

    Source: ours. Oracle: tests/base/test_runs.py::test_runs_inside_a_folder_are_no_data
    """
    runs = {path.parent for path in folder.rglob(RUN_FILE)} - {folder}
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return [path for path in found if runs.isdisjoint(path.parents)]


def _circumstances(code: str) -> dict[str, Any]:
    return {
        "created": datetime.datetime.now().astimezone().isoformat(timespec="milliseconds"),
        "code_hash": code,
        "git": provenance.git_state(),
        "host": provenance.host(),
        "versions": provenance.versions(),
    }


def _newest(root: Path, key: str) -> Path | None:
    return next((run.path for run in find_runs(root) if run.info["key"] == key), None)


def _claimed(folder: Path, key: str, *, fresh: bool) -> Path | None:
    """Return a folder that already holds this very run, None if a run may begin there."""
    if (folder / RUN_FILE).is_file():
        if not fresh and read_json(folder / RUN_FILE)["key"] == key:
            return folder
        rule = "already holds a run" if fresh else "holds a run with other settings"
        raise SettingError("run folder", str(folder), rule, remedy="Name another folder")
    if folder.is_dir() and any(path.name != LOCK_FILE for path in folder.iterdir()):
        rule = "must be empty, or contain this run"
        raise SettingError("run folder", str(folder), rule, remedy="Name another folder")
    return None


def _new_folder(first: Path, *, exact: bool) -> tuple[Path, IO[str]]:
    """Return a locked folder without a run: `first`, or the first free of `first-2`, `-3` ..."""
    for number in itertools.count(1):
        folder = first if number == 1 else first.with_name(f"{first.name}-{number}")
        if not exact and (folder / RUN_FILE).exists():
            continue
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        lock = _lock(folder) if exact else _try_lock(folder)
        if lock is None:
            continue  # another process is just beginning a run there
        if exact or not (folder / RUN_FILE).exists():
            return folder, lock
        lock.close()
    raise AssertionError("itertools.count ended")


def _lock(folder: Path) -> IO[str]:
    """Hold the folder for this process; the system lets go when it ends, however it ends."""
    lock = _try_lock(folder)
    if lock is None:
        owner = (folder / LOCK_FILE).read_text(encoding="utf-8").strip() or "unknown"
        rule = f"is being written by process {owner}"
        remedy = "Wait for it, stop it, or start another run"
        raise StorageError("run folder", str(folder), rule, remedy=remedy)
    return lock


def _try_lock(folder: Path) -> IO[str] | None:
    with storage_errors(folder / LOCK_FILE):
        file = (folder / LOCK_FILE).open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def _point_last(folder: Path, root: Path) -> None:
    """Let `root/last` point to a run in `root`; a run elsewhere leaves it as it is."""
    if folder.resolve().parent != Path(root).resolve():
        return
    temporary = Path(root) / f".{LAST}.{os.getpid()}-{secrets.token_hex(4)}.tmp"
    with storage_errors(Path(root) / LAST, temporary):
        temporary.symlink_to(folder.name, target_is_directory=True)
        os.replace(temporary, Path(root) / LAST)


def _point_last_to_newest(root: Path) -> None:
    """Where `root/last` leads to a run that is gone, let it point to the newest one, if any."""
    last = root / LAST
    if not last.is_symlink() or last.exists():
        return
    runs = find_runs(root)
    if runs:
        _point_last(runs[0].path, root)
    else:
        last.unlink()
