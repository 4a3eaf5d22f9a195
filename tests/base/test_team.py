"""A run of several processes, played by threads: who writes, who waits, what everybody has."""

import queue
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from burnish.base.runs import load_run
from burnish.base.stages import Stage
from burnish.base.team import Alone, TeamRun, open_team_run

GIVEN: dict[str, Any] = {"settings": {"a": 1}, "seed": 3}


class Thread:
    """One of two processes; what the leader shares travels by a queue."""

    def __init__(self, leads: bool, line: queue.Queue[Any], barrier: threading.Barrier) -> None:
        self.leads, self._line, self._barrier = leads, line, barrier

    def share(self, value: Any) -> Any:
        if self.leads:
            self._line.put(value)
            return value
        return self._line.get(timeout=20)

    def wait(self) -> None:
        self._barrier.wait(timeout=20)


def both(work: Callable[[TeamRun], Any], folder: Path) -> tuple[Any, Any]:
    """What the leader and the other one get from the same work on one run."""
    line: queue.Queue[Any] = queue.Queue()
    barrier = threading.Barrier(2)
    found: dict[bool, Any] = {}

    def one(leads: bool) -> None:
        try:
            with open_team_run(Thread(leads, line, barrier), "w", folder=folder, **GIVEN) as run:
                found[leads] = work(run)
        except BaseException as error:
            barrier.abort()
            found[leads] = error

    other = threading.Thread(target=one, args=(False,))
    other.start()
    one(True)
    other.join(timeout=30)
    for value in (found[True], found.get(False)):
        if isinstance(value, BaseException):
            raise value
    return found[True], found[False]


def work_of(made: list[Path]) -> Callable[[TeamRun], Any]:
    """Two stages, the second together; where each was made is noted."""

    def write(stage: Stage) -> Mapping[str, Any]:
        made.append(stage.path)
        stage.event("writing")
        (stage.path / "file").write_text("text")
        return {"number": 7}

    def work(run: TeamRun) -> Any:
        first = run.stage("first", write)
        second = run.stage_together("second", write, after=first.key)
        result = run.share({"key": second.key} if run.leads else None)
        run.save_result(result)
        return first, second, result, run.path

    return work


def test_all_have_what_the_leader_made(tmp_path: Path) -> None:
    made: list[Path] = []
    leader, other = both(work_of(made), tmp_path / "run")
    assert leader == other
    inside = [path for path in made if tmp_path in path.parents]
    assert sorted(path.name for path in inside) == ["first", "second"]
    (elsewhere,) = set(made) - set(inside)  # the other's second stage, thrown away
    assert elsewhere.name == "second"
    assert not elsewhere.exists()
    events = [one for one in load_run(tmp_path / "run").events() if one["kind"] == "writing"]
    assert [one["stage"] for one in events] == ["first", "second"]
    assert load_run(tmp_path / "run").result == {"key": leader[1].key}


def test_nothing_is_made_twice(tmp_path: Path) -> None:
    made: list[Path] = []
    both(work_of([]), tmp_path / "run")
    leader, other = both(work_of(made), tmp_path / "run")
    assert made == []
    assert leader == other
    assert leader[1].reused


def test_the_others_have_what_an_earlier_attempt_left(tmp_path: Path) -> None:
    """A killed stage goes on from its files in every process, not only in the leader's."""
    seen: list[tuple[bool, str]] = []

    def cut_off(stage: Stage) -> Mapping[str, Any]:
        (stage.path / "state").write_text("half")
        raise RuntimeError("killed")

    def go_on(stage: Stage) -> Mapping[str, Any]:
        seen.append((stage.resumed, (stage.path / "state").read_text()))
        return {}

    # The leader alone: with two, the other's failure may break the barrier before `cut_off` writes.
    with (
        pytest.raises(RuntimeError, match="killed"),
        open_team_run(Alone(), "w", folder=tmp_path / "run", **GIVEN) as run,
    ):
        run.stage_together("s", cut_off)
    both(lambda run: run.stage_together("s", go_on), tmp_path / "run")
    assert seen == [(True, "half")] * 2


def test_planted_no_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the leader does not wait, its files change while the other one copies them."""
    monkeypatch.setattr(Thread, "wait", lambda self: None)
    exact = Thread.share

    def late(self: Thread, value: Any) -> Any:
        found = exact(self, value)
        if not self.leads:
            threading.Event().wait(0.3)
        return found

    monkeypatch.setattr(Thread, "share", late)

    def grow(stage: Stage) -> Mapping[str, Any]:
        left = sorted(path.name for path in stage.path.iterdir())
        (stage.path / "later").write_text("of this attempt")
        seen.append(left)
        return {}

    seen: list[list[str]] = []
    both(lambda run: run.stage_together("s", grow), tmp_path / "run")
    assert seen[0] == ["key.json"]
    assert "later" in seen[1]


def test_alone(tmp_path: Path) -> None:
    """One process makes everything itself."""
    made: list[Path] = []
    with open_team_run(Alone(), "w", folder=tmp_path / "run", **GIVEN) as run:
        assert run.leads
        work_of(made)(run)
    assert [path.name for path in made] == ["first", "second"]
    assert not run.resumed
