"""`burnish scaling ladder`: cells to train, or their results fitted and checked on the largest."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from burnish.base.files import read_json, write_json
from burnish.base.meter import Meter
from burnish.base.progress import say
from burnish.base.settings import to_dict
from burnish.base.stages import Stage, StageResult
from burnish.contracts.page import Page, Table
from burnish.contracts.step import Told
from burnish.jobs.job import Job
from burnish.jobs.result import Header
from burnish.jobs.step import Given, Step, Value, Verification
from burnish.scaling.fit_job import (
    RUNS_FILE,
    ReadStep,
    runs_as_json,
    runs_from_json,
    table_value,
)
from burnish.scaling.ladder_cells import CELLS, LadderSettings, climb, ladder_cells, train_cells
from burnish.scaling.laws import laws
from burnish.scaling.page import cells_table, ladder_page
from burnish.scaling.runs import Runs, read_runs

WHAT = "scaling-ladder"
PLANS = "plans"


def ladder_job(settings: LadderSettings, trainer: Value | None = None) -> Job:
    """The job of `scaling ladder`: emits cells, trains them with `trainer`, or fits results.

    `trainer` is a `Train`, which comes from above: disciplines do not know one another.
    """
    given: dict[str, Value] = {}
    parts: list[Step] = [EmitStep(ladder=settings)]
    if settings.data.path:
        parts, given = [ReadStep(data=settings.data)], {"table": table_value(settings.data)}
    elif trainer is not None:
        parts, given = [*parts, TrainCellsStep(ladder=settings)], {"trainer": trainer}
    if given:
        parts.append(ClimbStep(ladder=settings))
    return Job(
        what=WHAT,
        settings=to_dict(settings),
        seed=settings.seed,
        parts=parts,
        given=given,
        header=Header(title="burnish scaling ladder"),
    )


@dataclass(frozen=True, kw_only=True)
class EmitStep(Step):
    """Writes every cell as a plan file.

    Source: ours. Oracle: tests/scaling/test_ladder_job.py::test_cells_then_results
    """

    ladder: LadderSettings
    name: str = "cells"
    verified: Verification = "again"

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """One file a cell, numbered in the order of cost."""
        cells = ladder_cells(self.ladder)
        for index, cell in enumerate(cells):
            write_json(stage.path / PLANS / f"{index:03d}-{cell.name}.json", cell)
        return {"cells": [asdict(cell) for cell in cells]}

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """Report the cells and their total cost."""
        cells = done.output["cells"]
        total = sum(cell["train_flops"] for cell in cells)
        page = Page(
            title="burnish scaling ladder",
            verdict=f"{len(cells)} cells to train, {total:.3g} FLOPs in all.",
            good="measured",
            blocks=[cells_table(cells)],
        )
        numbers: Mapping[str, Any] = {
            "cells": cells, "total_flops": total, "plans": str(done.path / PLANS),
        }  # fmt: skip
        return (Told.of_page(page, numbers),)


@dataclass(frozen=True, kw_only=True)
class TrainCellsStep(Step):
    """Trains every cell, cheapest first; interrupted, it resumes in the current cell.

    Source: ours. Oracle: tests/scaling/test_ladder_job.py::test_trained_cells_are_fitted
    """

    ladder: LadderSettings
    name: str = "training"

    @property
    def reads(self) -> tuple[str, ...]:
        """The trainer."""
        return ("trainer",)

    @property
    def writes(self) -> Mapping[str, str]:
        """Trained cells as runs."""
        return {"runs": RUNS_FILE}

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Train what is missing. Raises what the trainer raises."""
        cells = ladder_cells(self.ladder)
        rows = []
        for row in train_cells(cells, given["trainer"], stage.path):
            rows.append(row)
            say(f"cell {len(rows)} of {len(cells)}: {row['name']} loss {row['loss']:.4f}")
        data = replace(self.ladder.data, path=str(stage.path / CELLS))
        write_json(stage.path / RUNS_FILE, runs_as_json(read_runs(data)))
        return {"trained": rows}

    def open(self, name: str, done: StageResult, given: Given) -> Runs:
        """The runs, from the stage."""
        return runs_from_json(read_json(done.path / RUNS_FILE))

    def differences(self, old: StageResult, new: StageResult) -> str:
        """Numbers that differ; seconds may."""

        def timeless(done: StageResult) -> list[Mapping[str, Any]]:
            return [{**row, "seconds": 0} for row in done.output["trained"]]

        return "" if timeless(old) == timeless(new) else "trained"

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """Report every cell's loss."""
        rows = done.output["trained"]
        names = ("name", "n", "d", "e", "batch", "lr", "loss", "seconds")
        table = Table(
            title="Trained cells",
            columns=list(names),
            rows=[[row.get(name) for name in names] for row in rows],
        )
        numbers = {"trained": [{name: row.get(name) for name in names} for row in rows]}
        return (Told(section="notes", numbers=numbers, blocks=(table,)),)


@dataclass(frozen=True, kw_only=True)
class ClimbStep(Step):
    """Fits the smaller cells and predicts the largest.

    Source: ours. Oracle: tests/scaling/test_ladder_job.py::test_cells_then_results
    """

    ladder: LadderSettings
    name: str = "climb"
    verified: Verification = "again"

    @property
    def reads(self) -> tuple[str, ...]:
        """Cleaned results."""
        return ("runs",)

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Fit, predict, propose."""
        runs = given["runs"]
        told = climb(self.ladder, runs)
        law = laws.parse(told["law"])
        surface = law.surface(runs.columns)
        fitted = surface.evaluate(law.theta(told["params"])[None])[0][0]
        points = [
            {"c": float(c), "loss": float(loss), "fitted": float(value)}
            for c, loss, value in zip(runs.columns["c"], runs.loss, np.exp(fitted), strict=True)
        ]
        return {"told": told, "points": points}

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """Report the fit, the prediction and the proposed next run, with the page."""
        told = done.output["told"]
        return (Told.of_page(ladder_page(told, done.output["points"]), told),)
