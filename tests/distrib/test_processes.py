"""Worker processes: how many, and that none is ever left behind."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from fixtures.work import announce_and_sleep, die, process_id

from burnish.base.errors import IncompleteError, SettingError
from burnish.distrib import launchers
from burnish.distrib.processes import ProcessLauncher

PROGRAM = """
from fixtures.work import announce_and_sleep
from burnish.distrib import processes
from burnish.distrib.processes import ProcessLauncher
if __name__ == "__main__":
    {first}
    for _ in ProcessLauncher(workers=2).map(announce_and_sleep, [{folder!r}] * 4):
        pass
"""


def alive(process: int) -> bool:
    """False for a process that ended, or that only waits to be reaped."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition: object, seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def check_none_outlives(
    kind: signal.Signals, place: Path, *, first: str = "pass", seconds: float = 20
) -> None:
    """Two workers are busy for a minute; whatever ends their parent ends them at once."""
    folder = place / "workers"
    folder.mkdir()
    script = place / "program.py"
    script.write_text(PROGRAM.format(folder=str(folder), first=first))
    paths = os.pathsep.join(filter(None, sys.path))
    environment = os.environ | {"PYTHONPATH": paths}
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as parent:
        assert wait_until(lambda: len(list(folder.iterdir())) == 2)
        workers = [int(file.name) for file in folder.iterdir()]
        assert all(alive(worker) for worker in workers)
        parent.send_signal(kind)
        try:
            assert wait_until(lambda: not any(alive(worker) for worker in workers), seconds=seconds)
        finally:
            for worker in filter(alive, workers):
                os.kill(worker, signal.SIGKILL)
        _, messages = parent.communicate(timeout=20)
    assert len(list(folder.iterdir())) == 2  # the other two items were never begun
    if kind == signal.SIGINT:
        assert messages.strip().endswith("KeyboardInterrupt")


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_its_parent(kind: signal.Signals, tmp_path: Path) -> None:
    check_none_outlives(kind, tmp_path)


def test_planted_workers_without_a_lifeline(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        check_none_outlives(signal.SIGKILL, tmp_path, first="processes._live_while = id", seconds=4)


def test_no_worker_outlives_the_map(tmp_path: Path) -> None:
    before = set(multiprocessing.active_children())
    answers = ProcessLauncher(workers=2).map(process_id, range(20))
    next(answers)
    assert set(multiprocessing.active_children()) - before
    answers.close()
    assert not set(multiprocessing.active_children()) - before


def test_leaving_early_does_not_wait_for_busy_workers(tmp_path: Path) -> None:
    start = time.monotonic()
    items = [str(tmp_path)] * 2
    with pytest.raises(TypeError):  # the second fails at once, the first sleeps a minute
        for _ in ProcessLauncher(workers=2).map(announce_and_sleep, [None, *items]):
            pass
    assert time.monotonic() - start < 20


def test_as_many_processes_as_asked() -> None:
    found = set(ProcessLauncher(workers=2).map(process_id, range(12)))
    assert 1 <= len(found) <= 2
    assert os.getpid() not in found


def test_a_worker_that_is_killed_is_reported() -> None:
    with pytest.raises(IncompleteError, match="use fewer workers"):
        list(ProcessLauncher(workers=1).map(die, [1]))


def test_functions_that_cannot_travel() -> None:
    with pytest.raises(SettingError, match="must be importable"):
        ProcessLauncher().map(lambda item: item, [1])
    with pytest.raises(SettingError, match="workers must not be negative"):
        ProcessLauncher(workers=-1)
    with pytest.raises(SettingError, match="workers"):
        launchers.parse("processes:workers=-2")


def test_no_thread_fails_when_a_map_is_left_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool's own thread may see its workers die before it is told to shut down."""
    exact, failed = ProcessPoolExecutor.shutdown, list[str]()

    def late(pool: ProcessPoolExecutor, **given: bool) -> None:
        time.sleep(0.5)
        exact(pool, **given)

    monkeypatch.setattr(ProcessPoolExecutor, "shutdown", late)
    monkeypatch.setattr(threading, "excepthook", lambda args: failed.append(args.exc_type.__name__))
    answers = ProcessLauncher(workers=1).map(abs, range(50))
    assert next(answers) == 0
    answers.close()
    assert failed == []
