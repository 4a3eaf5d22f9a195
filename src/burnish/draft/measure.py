"""`burnish draft bench`: the measurement as a run, and its page."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from burnish.base.canonical import jsonable
from burnish.base.errors import SettingError
from burnish.base.meter import Meter
from burnish.base.records import RecordLog, existing_file, file_hash
from burnish.base.settings import to_dict
from burnish.base.stages import Stage, StageResult
from burnish.contracts.generation import Sampling
from burnish.contracts.page import Chart, Page, Series, Table
from burnish.contracts.step import Told
from burnish.draft.bench_cells import (
    ARMS,
    Cell,
    make_arms,
    measure_cells,
    requests_for,
    stratified,
    summarise,
)
from burnish.draft.cost import PLAIN
from burnish.draft.maps import Kind, shipped_maps
from burnish.jobs.job import Job, Place, run_job
from burnish.jobs.result import Header
from burnish.jobs.step import METERED, Given, Step, Value
from burnish.models.handle import ModelHandle
from burnish.models.load import Model, resolve_folder

WHAT = "draft-bench"
CELLS = "cells.jsonl"
NUMBERS = ("identical", "tokens_per_step", "speedup", "tokens_per_s")


@dataclass(frozen=True, kw_only=True)
class BenchSettings:
    """What `draft bench` measures; `drafters` are names of `ARMS`, or NAME=SPEC."""

    model: str = "smollm2-135m"
    prompts: str = ""
    limit: int = 60
    drafters: tuple[str, ...] = ()
    max_new_tokens: int = 128
    repeats: int = 1
    precision: str = "auto"
    device: str = "auto"

    def __post_init__(self) -> None:
        if not self.prompts:
            rule, remedy = "must name a file", "For example --prompts question.jsonl"
            raise SettingError("prompts", self.prompts, rule, remedy=remedy)
        for name, least in (("limit", 0), ("repeats", 1)):
            if getattr(self, name) < least:
                rule = f"must be at least {least}"
                raise SettingError(name, getattr(self, name), rule, remedy="Raise it")


def bench_drafts(
    settings: BenchSettings,
    *,
    runs: Path = Path("runs"),
    folder: Path | None = None,
    fresh: bool = False,
    command: Sequence[str] = (),
) -> dict[str, Any]:
    """Measure drafters in a run of its own; the result is what `result.json` holds.

    An interrupted run resumes when the call is repeated. Raises MissingFileError
    before a run is opened.
    """
    existing_file(settings.prompts)
    resolve_folder(settings.model)  # a wrong name is told before a run is opened
    place = Place(runs=runs, folder=folder, fresh=fresh, command=command)
    return run_job(bench_job(settings), place)


def bench_job(settings: BenchSettings) -> Job:
    """The job of `draft bench`."""
    model = ModelHandle(settings.model, precision=settings.precision, device=settings.device)
    prompts = Path(settings.prompts)
    return Job(
        what=WHAT,
        settings=to_dict(settings),
        seed=0,
        parts=[CellsStep(settings=settings)],
        given={
            "model": Value(lambda: model.key, lambda: model),
            "prompts": Value(lambda: file_hash(prompts), lambda: existing_file(prompts)),
        },
        header=Header(
            title=f"burnish draft bench: {settings.model}", numbers={"model": settings.model}
        ),
        base=settings.model,
    )


def specs_of(settings: BenchSettings, model: Model) -> dict[str, str]:
    """Arms by name. Without a choice: all of `ARMS` that have weights for the model."""
    if not settings.drafters:
        return {name: spec for name, spec in ARMS.items() if _has_weights(spec, model)}
    found = {}
    for given in settings.drafters:
        name, equals, spec = given.partition("=")
        found[name if equals and ":" not in name else given] = (
            spec if equals and ":" not in name else ARMS.get(given, given)
        )
    return found


@dataclass(frozen=True, kw_only=True)
class CellsStep(Step):
    """Plain decoding and every drafter, in turns on each prompt; every cell is kept at once.

    Greedy decoding, batch 1, prefill included.
    Source: Spec-Bench, arXiv 2401.07851 (prompts and setting).
    Departure: rates count token ids over total time; Spec-Bench re-tokenises and averages rates.
    Oracle: tests/draft/test_bench_cells.py::test_planted_speed_is_found
    """

    settings: BenchSettings
    name: str = "cells"

    @property
    def reads(self) -> tuple[str, ...]:
        """The model and the prompts."""
        return ("model", "prompts")

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Measure the cells that are missing."""
        settings, model = self.settings, given["model"].model
        specs = specs_of(settings, model)
        sampling = Sampling(max_new_tokens=settings.max_new_tokens)
        requests = requests_for(model, stratified(given["prompts"], settings.limit), sampling)
        before = os.getloadavg()[0]
        arms = make_arms(model, specs)
        cells = measure_cells(arms, requests, stage.path / CELLS, repeats=settings.repeats)
        loads = [cell.load for cell in cells]
        return {
            "specs": specs,
            "precision": str(model.dtype).removeprefix("torch."),
            "num_prompts": len(requests),
            "drafters": summarise(cells),
            "load": {"before": before, "mean": sum(loads) / len(loads), "most": max(loads)},
        }

    def recheck(self, done: StageResult, given: Given) -> str:
        """Check that the reported numbers follow from the cells."""
        cells = [Cell(**row) for row in RecordLog(done.path / CELLS).peek()]
        return "" if jsonable(summarise(cells)) == done.output["drafters"] else "drafters"

    def differences(self, old: StageResult, new: StageResult) -> str:
        """Differences in whether texts were identical; times always differ."""
        return "identical" if all_identical(old.output) != all_identical(new.output) else ""

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """Report the numbers of every arm, and the page."""
        numbers = {name: value for name, value in done.output.items() if name != METERED}
        numbers |= {"model": self.settings.model, "all_identical": all_identical(done.output)}
        return (Told.of_page(bench_page(numbers), numbers),)


def all_identical(output: Mapping[str, Any]) -> bool:
    """Whether every drafted text equals the plain one."""
    return all(arm["identical"]["value"] == 1.0 for arm in output["drafters"].values())


def bench_page(result: Mapping[str, Any]) -> Page:
    """The report page: verdict, table of all arms, bars of speed-ups."""
    arms = result["drafters"]
    drafted = {name: arm for name, arm in arms.items() if name != PLAIN}
    best = max(drafted, key=lambda name: drafted[name]["speedup"]["value"])
    fastest = drafted[best]["speedup"]
    rows = [[name, *(_cell(arm[number]) for number in NUMBERS)] for name, arm in arms.items()]
    series = Series(
        name="speed-up",
        x=list(drafted),
        **{
            key: [arm["speedup"][name] for arm in drafted.values()]
            for key, name in (("y", "value"), ("low", "low"), ("high", "high"))
        },
    )
    texts = "All drafted texts are identical to the plain ones"
    if not result["all_identical"]:
        texts = "Some drafted texts differ from the plain ones"
    rate = f"{fastest['value']:.2f}x [{fastest['low']:.2f}, {fastest['high']:.2f}]"
    return Page(
        title=f"burnish draft bench: {result['model']}, {result['precision']}",
        verdict=f"{texts}; the fastest drafter, {best}, decodes {rate} as fast.",
        good=result["all_identical"] and fastest["low"] > 1,
        headline=[
            (name, _cell(arm["speedup"]), "of plain decoding") for name, arm in drafted.items()
        ],
        blocks=[
            Table(
                title="Arms",
                columns=["arm", "identical", "tokens per step", "speed-up", "tokens per second"],
                rows=rows,
                caption=(
                    f"{result['num_prompts']} prompts, greedy, batch 1, prefill included; arms "
                    f"take turns on each prompt; mean load {result['load']['mean']:.1f}. "
                    "Intervals: 95%, bootstrap over prompts."
                ),
            ),
            Chart(
                title="Speed-up over plain decoding",
                kind="bar",
                series=[series],
                x_label="drafter",
                y_label="times plain",
            ),
        ],
    )


def _cell(estimate: Mapping[str, float]) -> str:
    return f"{estimate['value']:.3g} [{estimate['low']:.3g}, {estimate['high']:.3g}]"


def _has_weights(spec: str, model: Model) -> bool:
    name = spec.partition(":")[0]
    return name not in get_args(Kind) or shipped_maps(model, name) is not None
