"""`burnish draft bench`: the measurement as a run, and its page."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from burnish.base.errors import SettingError
from burnish.base.progress import say
from burnish.base.records import existing_file, file_hash
from burnish.base.runs import Run, open_run
from burnish.base.settings import to_dict
from burnish.base.stages import Stage
from burnish.contracts.generation import Sampling
from burnish.contracts.page import Chart, Page, Series, Table
from burnish.draft.bench import (
    ARMS,
    make_arms,
    measure_cells,
    requests_for,
    stratified,
    summarise,
)
from burnish.draft.cost import PLAIN
from burnish.draft.maps import Kind, shipped_maps
from burnish.models.load import Model, load_model
from burnish.report.html import write_report
from burnish.report.pages import page_from_json

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

    An interrupted run resumes when the call is repeated. Raises what `measure_drafters` does, and
    MissingFileError before a run is opened.
    """
    existing_file(settings.prompts)
    model = load_model(settings.model, precision=settings.precision, device=settings.device)
    with open_run(
        "draft-bench",
        settings=to_dict(settings),
        seed=0,
        root=runs,
        folder=folder,
        fresh=fresh,
        command=command,
    ) as run:
        say(f"run: {run.path}" + (" (resuming)" if run.resumed else ""))
        result = measure_drafters(run, model, settings)
        write_report(page_from_json(result["page"]), run.path / "report")
        run.save_result(result)
    return result


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


def measure_drafters(run: Run, model: Model, settings: BenchSettings) -> dict[str, Any]:
    """Measure plain decoding and every drafter; returns what `result.json` holds.

    Every measured cell is kept at once; greedy decoding, batch 1, prefill included.
    Source: Spec-Bench, arXiv 2401.07851 (prompts and setting).
    Departure: rates count token ids over total time; Spec-Bench re-tokenises and averages rates.
    Oracle: tests/draft/test_bench.py::test_planted_speed_is_found
    """
    specs = specs_of(settings, model)
    sampling = Sampling(max_new_tokens=settings.max_new_tokens)
    prompts = stratified(Path(settings.prompts), settings.limit)
    requests = requests_for(model, prompts, sampling)

    def make(stage: Stage) -> Mapping[str, Any]:
        before = os.getloadavg()[0]
        arms = make_arms(model, specs)
        cells = measure_cells(arms, requests, stage.path / "cells.jsonl", repeats=settings.repeats)
        loads = [cell.load for cell in cells]
        load = {"before": before, "mean": sum(loads) / len(loads), "most": max(loads)}
        return {"drafters": summarise(cells), "load": load}

    found = run.stage(
        "cells",
        make,
        settings=to_dict(settings),
        specs=specs,
        prompts=file_hash(settings.prompts),
    ).output
    same = all(arm["identical"]["value"] == 1.0 for arm in found["drafters"].values())
    result = {
        "model": settings.model,
        "precision": str(model.dtype).removeprefix("torch."),
        "num_prompts": len(requests),
        "specs": specs,
        "all_identical": same,
        **found,
        "run": str(run.path),
    }
    return result | {"page": asdict(bench_page(result, run.info))}


def bench_page(result: Mapping[str, Any], info: Mapping[str, Any]) -> Page:
    """The report: verdict, the table of all arms, and the speed-ups as bars."""
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
                columns=["arm", "identical", "tokens a step", "speed-up", "tokens a second"],
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
        command=" ".join(info.get("command") or []),
        provenance={name: info[name] for name in ("host", "git", "code_hash") if name in info},
    )


def _cell(estimate: Mapping[str, float]) -> str:
    return f"{estimate['value']:.3g} [{estimate['low']:.3g}, {estimate['high']:.3g}]"


def _has_weights(spec: str, model: Model) -> bool:
    name = spec.partition(":")[0]
    return name not in get_args(Kind) or shipped_maps(model, name) is not None
