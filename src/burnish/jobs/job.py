"""A job: steps in a run folder that leave settings, provenance, a result, a page and a model."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnish.base.canonical import jsonable
from burnish.base.progress import say
from burnish.base.stages import link_stages
from burnish.base.team import Alone, Team, open_team_run
from burnish.jobs.publish import publish
from burnish.jobs.result import Header, make_result
from burnish.jobs.runner import Done, performing, run_parts
from burnish.jobs.step import Part, Value
from burnish.report.html import write_report
from burnish.report.pages import page_from_json

TRAINED = "trained"  # a value of this name, a folder or None, is published as the run's model


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a job's run lies, and the command that asked for it.

    `reuse`: the folder of another run, whose finished stages a new run begins with.
    """

    runs: Path = Path("runs")
    folder: Path | None = None
    fresh: bool = False
    command: Sequence[str] = ()
    reuse: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """One command's work. `settings` and `seed` identify its run; `given` are its first values.

    `base` is what the result calls the model when no step writes one.
    """

    what: str
    settings: Mapping[str, Any]
    seed: int
    parts: Sequence[Part]
    given: Mapping[str, Value]
    header: Header
    base: str = ""

    def result(self, done: Sequence[Done], info: Mapping[str, Any]) -> dict[str, Any]:
        """What `result.json` holds, but for its places: computed from what the steps left."""
        return make_result(self.what, self.header, done, info=info)


def run_job(job: Job, place: Place, *, team: Team | None = None) -> dict[str, Any]:
    """Run a job in its folder, or resume it; returns what `result.json` holds.

    Every process of a team returns it; rank 0 alone writes. Raises what `open_run` and the
    steps raise; finished stages are kept.
    Source: ours. Oracle: tests/jobs/test_job.py::test_killed_and_resumed_equals_straight
    """
    started = time.monotonic()
    with open_team_run(
        team or Alone(),
        job.what,
        settings=job.settings,
        seed=job.seed,
        root=place.runs,
        folder=place.folder,
        fresh=place.fresh,
        command=place.command,
    ) as run:
        say(f"run: {run.path}" + (" (resuming)" if run.resumed else ""))
        if place.reuse is not None and run.leads and not run.resumed:
            link_stages(place.reuse, run.path)
        values = dict(job.given)
        done = list(run_parts(job.parts, values, performing(run)))
        if not run.leads:
            return run.share(None)
        result = job.result(done, run.info)
        result |= {"run": str(run.path), "minutes": round((time.monotonic() - started) / 60, 2)}
        if TRAINED in values:
            model = publish(run.path, values[TRAINED].content)
            result["model"] = str(model) if model else job.base
        write_report(page_from_json(result["page"]), run.path / "report")
        run.save_result(result)
        return run.share(jsonable(result))
