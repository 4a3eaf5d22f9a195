"""`burnish scaling ladder`: cells to train, or their results fitted and checked on the largest."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from burnish.base.meter import Meter
from burnish.base.records import write_json
from burnish.base.settings import to_dict
from burnish.base.stages import Stage, StageResult
from burnish.contracts.page import Page
from burnish.contracts.step import Told
from burnish.jobs.job import Job, Place, run_job
from burnish.jobs.result import Header
from burnish.jobs.step import Given, Step, Verification
from burnish.scaling.fit_job import ReadStep, check_table, table_value
from burnish.scaling.ladder import LadderSettings, climb, ladder_cells
from burnish.scaling.laws import laws
from burnish.scaling.page import cells_table, ladder_page

WHAT = "scaling-ladder"
PLANS = "plans"


def climb_ladder(settings: LadderSettings, place: Place | None = None) -> dict[str, Any]:
    """Emit a ladder's cells, or, where `data.path` is given, fit and check their results.

    Raises: InputError, as `read_runs` and `climb`.
    Source: ours. Oracle: tests/scaling/test_ladder_job.py::test_cells_then_results
    """
    if settings.data.path:
        check_table(settings.data, settings.fit)
    return run_job(ladder_job(settings), place or Place())


def ladder_job(settings: LadderSettings) -> Job:
    """The job of `scaling ladder`."""
    results = bool(settings.data.path)
    parts: list[Step] = [EmitStep(ladder=settings)]
    if results:
        parts = [ReadStep(data=settings.data), ClimbStep(ladder=settings)]
    return Job(
        what=WHAT,
        settings=to_dict(settings),
        seed=settings.seed,
        parts=parts,
        given={"table": table_value(settings.data)} if results else {},
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
        """The cells and what they cost in all."""
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
        """The fit, the prediction, what is next, and the page."""
        told = done.output["told"]
        return (Told.of_page(ladder_page(told, done.output["points"]), told),)
