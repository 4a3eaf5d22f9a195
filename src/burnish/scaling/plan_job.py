"""`burnish scaling plan`: plans training under a budget, as a result, a page and a plan file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from burnish.base.canonical import content_hash, jsonable
from burnish.base.meter import Meter
from burnish.base.records import write_json
from burnish.base.settings import to_dict
from burnish.base.stages import Stage, StageResult
from burnish.contracts.step import Told
from burnish.contracts.training_plan import TrainingPlan
from burnish.jobs.job import Job, Place, run_job
from burnish.jobs.result import Header
from burnish.jobs.step import Given, Step, Value, Verification
from burnish.scaling.known import KnownFit, open_fit
from burnish.scaling.page import plan_page
from burnish.scaling.planning import make_plan, plan_file
from burnish.scaling.settings import PlanSettings

WHAT = "scaling-plan"
PLAN_FILE = "plan.json"


def plan_scaling(
    settings: PlanSettings,
    *,
    out: Path | None = None,
    runs: Path = Path("runs"),
    folder: Path | None = None,
    fresh: bool = False,
    command: Sequence[str] = (),
) -> dict[str, Any]:
    """Plan a run; `plan.json` in its folder, also as `out`, is what `arch pretrain --plan` takes.

    Raises: as `make_plan` and `open_fit`.
    Source: ours. Oracle: tests/scaling/test_plan_job.py::test_the_plan_is_a_file
    """
    place = Place(runs=runs, folder=folder, fresh=fresh, command=command)
    result = run_job(plan_job(settings), place)
    plan, files = TrainingPlan(**result["plan"]), [Path(result["run"]) / PLAN_FILE]
    for file in [*files, out] if out is not None else files:
        write_json(file, plan)
    return result | {"plan_file": str(out or files[0])}


def plan_job(settings: PlanSettings) -> Job:
    """The job of `scaling plan`."""
    known = open_fit(settings.fit_name)
    return Job(
        what=WHAT,
        settings=to_dict(settings),
        seed=settings.seed,
        parts=[PlanStep(plan=settings)],
        given={"fit": Value(fit_key(known), lambda: known)},
        header=Header(title=f"burnish scaling plan: {settings.flops:.3g} FLOPs"),
    )


def fit_key(known: KnownFit) -> str:
    """A key of the fit's content."""
    natural: Mapping[str, Any] = known.fit.natural
    draws = np.round(known.fit.draws, 9).tolist()
    return content_hash(jsonable([known.told["law"], dict(natural), draws]))


@dataclass(frozen=True, kw_only=True)
class PlanStep(Step):
    """Makes the plan; `burnish verify` repeats it.

    Source: ours. Oracle: tests/scaling/test_plan_job.py::test_the_plan_is_a_file
    """

    plan: PlanSettings
    name: str = "plan"
    verified: Verification = "again"

    @property
    def reads(self) -> tuple[str, ...]:
        """The fit."""
        return ("fit",)

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Minimise the law under the limits."""
        told = make_plan(self.plan, given["fit"])
        file = plan_file(told, name=f"plan-{self.plan.flops:.3g}", seed=self.plan.seed)
        return {"told": jsonable(told | {"plan": file})}

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """The plan and its page."""
        told = done.output["told"]
        return (Told.of_page(plan_page(told), told),)
