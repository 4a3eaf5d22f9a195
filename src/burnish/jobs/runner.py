"""Runs steps as the stages of a run, and hands each exactly what it declared."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnish.base.canonical import content_hash, jsonable
from burnish.base.errors import SettingError
from burnish.base.files import read_json
from burnish.base.meter import Meter
from burnish.base.naming import suggest
from burnish.base.progress import say
from burnish.base.settings import to_dict
from burnish.base.stages import KEY_FILE, Stage, StageResult, begun_here
from burnish.base.team import TeamRun
from burnish.contracts.step import Told
from burnish.jobs.step import METERED, Composite, Given, Part, Step, Value

Perform = Callable[[Step, Given], StageResult]


@dataclass(frozen=True, kw_only=True)
class Done:
    """A part of a job that has run; `stage` is None for a composite, whose steps come before it."""

    part: Part
    stage: StageResult | None
    tell: Callable[[], Sequence[Told]]


def run_parts(parts: Sequence[Part], values: dict[str, Value], perform: Perform) -> Iterator[Done]:
    """Perform the parts in order; each adds what it writes to `values`.

    Raises SettingError before anything runs where a part reads what no earlier one writes.
    Source: ours.
    Oracle: tests/jobs/test_runner.py::test_a_step_runs_again_when_what_it_reads_changes
    """
    check_parts(parts, values)
    for part in parts:
        if isinstance(part, Step):
            yield _run_step(part, values, perform)
        else:
            yield from _run_composite(part, values, perform)


def check_parts(parts: Sequence[Part], values: Mapping[str, Value]) -> None:
    """Raise SettingError where a part reads a value that no earlier part writes."""
    known = set(values)
    for part in parts:
        inner = part.planned() if isinstance(part, Composite) else ()
        for one in (part, *inner):
            for name in one.reads:
                inside = {written for other in inner for written in other.writes}
                if name not in known | inside:
                    rule = f"is read by step {one.name}, but no earlier step writes it"
                    raise SettingError("value", name, rule, remedy=suggest(name, sorted(known)))
        known |= set(part.writes)


def performing(run: TeamRun) -> Perform:
    """Perform steps as stages of a run: unchanged ones are reused, interrupted ones resume."""

    def perform(step: Step, given: Given) -> StageResult:
        check_guarded(run.path / "stages", step, given)
        stage = run.stage_together if step.together else run.stage
        done = stage(step.name, lambda stage: make(step, stage, given), **stage_inputs(step, given))
        if done.reused:
            say(f"{done.name}: unchanged, reused")
        return done

    return perform


def check_guarded(stages: Path, step: Step, given: Given) -> None:
    """Raise SettingError where a step reads other values than when a step it guards began.

    A training run of hours is then not thrown away because a text has changed. A step may guard
    itself. What was linked from another run is no work of this one.
    Source: ours. Oracle: tests/jobs/test_runner.py::test_what_a_guarding_step_reads_is_fixed
    """
    key = stages / step.name / KEY_FILE
    guarded = [name or step.name for name in step.guards]
    begun = [name for name in guarded if begun_here(stages / name)]
    if not begun or not key.is_file():
        return
    before, now = read_json(key)["inputs"]["reads"], given.keys()
    changed = sorted(name for name in now if before.get(name) != now[name])
    if changed:
        rule = f"holds a run whose step {begun[0]!r} has begun with other {' and '.join(changed)}"
        remedy = "Restore what was read to resume it, or name another folder"
        raise SettingError("run folder", str(stages.parent), rule, remedy=remedy)


def make(step: Step, stage: Stage, given: Given) -> dict[str, Any]:
    """Make a step; its output keeps what it was metered at, for when it is reused."""
    meter = Meter(step.name)
    return {**step.make(stage, given, meter), METERED: meter.to_dict()}


def stage_inputs(step: Step, given: Given) -> dict[str, Any]:
    """What the key of the step's stage is made of."""
    return {"step": type(step).__name__, "settings": to_dict(step), "reads": given.keys()}


def _run_step(step: Step, values: dict[str, Value], perform: Perform) -> Done:
    given = Given(step.name, values, step.reads)
    done = perform(step, given)

    def opener(name: str) -> Callable[[], Any]:
        return lambda: step.open(name, done, given)

    values |= {name: Value(step.key_of(name, done), opener(name)) for name in step.writes}
    seen = Given(step.name, dict(values), (*step.reads, *step.shows, *step.writes))
    return Done(part=step, stage=done, tell=lambda: step.tell(done, seen))


def _run_composite(
    composite: Composite, values: dict[str, Value], perform: Perform
) -> Iterator[Done]:
    own = dict(values)  # what its steps write stays inside, but for what `close` gives

    def look(name: str) -> Any:
        return own[name].content

    for step in composite.steps(look):
        yield _run_step(step, own, perform)
    values |= composite.close(own)
    seen = {**own, **values}
    yield Done(
        part=composite, stage=None, tell=lambda: composite.tell(lambda name: seen[name].content)
    )


def combined(values: Sequence[Value], content: Callable[[], Any]) -> Value:
    """A value that is made of others: its key follows from theirs."""
    return Value(content_hash(jsonable([value.key for value in values])), content)
