"""Several processes, one run: the leader writes it, the others help where all are needed."""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from burnish.base.runs import Run, open_run
from burnish.base.stages import Stage, StageResult

Make = Callable[[Stage], Mapping[str, Any]]


class Team(Protocol):
    """The processes that work on one command; all make the same calls in the same order."""

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes files and speaks."""
        ...

    def share(self, value: Any) -> Any:
        """The leader's value, in every process."""
        ...

    def wait(self) -> None:
        """Go on when all have come here."""
        ...


class Alone:
    """A process without others."""

    leads = True

    def share(self, value: Any) -> Any:
        """The value itself."""
        return value

    def wait(self) -> None:
        """Nobody is waited for."""


@dataclass(frozen=True)
class _Attempt:
    """What the others must know of a stage that is about to be made by all."""

    name: str
    path: Path
    resumed: bool


class TeamRun:
    """A run that several processes work on, or one.

    Its files are the leader's. The others wait for its stages and have their results; a stage
    that is made together they make too, in a folder of their own, which is thrown away.
    Source: ours. Oracle: tests/base/test_team.py::test_all_have_what_the_leader_made
    """

    def __init__(self, team: Team, run: Run | None) -> None:
        self._team, self._run = team, run
        about = None if run is None else (run.path, dict(run.info), run.resumed)
        self.path, self.info, self.resumed = team.share(about)

    @property
    def leads(self) -> bool:
        """Whether this process writes the run."""
        return self._run is not None

    def stage(self, name: str, make: Make, /, **inputs: Any) -> StageResult:
        """`Run.stage`, by the leader."""
        return self._team.share(self._run and self._run.stage(name, make, **inputs))

    def stage_together(self, name: str, make: Make, /, **inputs: Any) -> StageResult:
        """`Run.stage`, where `make` needs all processes, as training does."""
        if self._run is not None:
            return self._team.share(self._run.stage(name, self._announced(make), **inputs))
        told = self._team.share(None)
        if isinstance(told, _Attempt):
            self._help(told, make)
            told = self._team.share(None)
        return told

    def save_result(self, result: Mapping[str, Any]) -> None:
        """`Run.save_result`, by the leader."""
        if self._run is not None:
            self._run.save_result(result)

    def share(self, value: Any) -> Any:
        """The leader's value, in every process."""
        return self._team.share(value)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ending: Any) -> None:
        if self._run is not None:
            self._run.__exit__(*ending)

    def _announced(self, make: Make) -> Make:
        def announced(stage: Stage) -> Mapping[str, Any]:
            self._team.share(_Attempt(stage.name, stage.path, stage.resumed))
            self._team.wait()  # until the others have what an earlier attempt left
            return make(stage)

        return announced

    def _help(self, attempt: _Attempt, make: Make) -> None:
        with tempfile.TemporaryDirectory(prefix="burnish-") as place:
            own = Path(place) / attempt.name
            shutil.copytree(attempt.path, own)
            self._team.wait()
            make(Stage(name=attempt.name, path=own, resumed=attempt.resumed, record=_unheard))


def open_team_run(team: Team, what: str, **given: Any) -> TeamRun:
    """`open_run` by the leader; takes and raises what that does."""
    return TeamRun(team, open_run(what, **given) if team.leads else None)


def _unheard(*_: Any, **__: Any) -> None:
    """Events are the leader's."""
