"""`burnish scaling fit`: reads a table of runs, fits laws, and reports one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from burnish.base.canonical import file_hash
from burnish.base.files import existing_file, read_json
from burnish.base.meter import Meter
from burnish.base.progress import say
from burnish.base.records import write_json
from burnish.base.settings import to_dict
from burnish.base.stages import Stage, StageResult
from burnish.contracts.step import Told
from burnish.jobs.job import Job, Place, run_job
from burnish.jobs.result import Header
from burnish.jobs.step import Given, Step, Value, Verification
from burnish.scaling.analyse import LawReport, analyse, analyse_all, check_sigma
from burnish.scaling.identify import check_identified
from burnish.scaling.known import DRAWS, STAGE, WHAT
from burnish.scaling.laws import laws
from burnish.scaling.page import fit_page
from burnish.scaling.runs import Runs, read_runs
from burnish.scaling.settings import DataSettings, FitSettings, ScalingFitSettings

RUNS_FILE = "runs.json"
POINT_COLUMNS = ("n", "d", "c", "e", "k")
ALL = "all"


def fit_scaling(
    settings: ScalingFitSettings,
    *,
    runs: Path = Path("runs"),
    folder: Path | None = None,
    fresh: bool = False,
    command: Sequence[str] = (),
) -> dict[str, Any]:
    """Fit a law (or `all`) to a table of runs; the result is what `result.json` holds.

    Raises: InputError, where the table cannot be read or identifies no law.
    Source: ours. Oracle: tests/scaling/test_fit_job.py::test_a_run_holds_what_was_fitted
    """
    check_table(settings.data, settings.fit)
    place = Place(runs=runs, folder=folder, fresh=fresh, command=command)
    return run_job(fit_job(settings), place)


def fit_job(settings: ScalingFitSettings) -> Job:
    """The job of `scaling fit`. The table is read when its run is opened."""
    return Job(
        what=WHAT,
        settings=to_dict(settings),
        seed=settings.fit.seed,
        parts=[ReadStep(data=settings.data), FitStep(fit=settings.fit)],
        given={"table": table_value(settings.data)},
        header=Header(title=f"burnish scaling fit: {Path(settings.data.path).name}"),
    )


def check_table(data: DataSettings, fit: FitSettings) -> None:
    """Read a table before a run begins, warn of what is suspicious, refuse what cannot be fitted.

    Raises: as `read_runs`, `check_sigma` and `check_identified`.
    """
    runs = read_runs(data)
    for note in runs.notes:
        say(f"note: {note}")
    check_sigma(runs, fit)
    if fit.law != ALL:
        check_identified(fit.law, laws.parse(fit.law), runs)


def table_value(data: DataSettings) -> Value:
    """The table of runs, known by its content."""
    path = Path(data.path)
    return Value(lambda: file_hash(existing_file(path)), lambda: existing_file(path))


@dataclass(frozen=True, kw_only=True)
class ReadStep(Step):
    """Reads and cleans the table; the run keeps what was read.

    Source: ours. Oracle: tests/scaling/test_fit_job.py::test_a_run_holds_what_was_fitted
    """

    data: DataSettings
    name: str = "read"

    @property
    def reads(self) -> tuple[str, ...]:
        """The table."""
        return ("table",)

    @property
    def writes(self) -> Mapping[str, str]:
        """Cleaned runs."""
        return {"runs": RUNS_FILE}

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Read the table."""
        data = replace(self.data, path=str(given["table"]))
        runs = read_runs(data)
        write_json(stage.path / RUNS_FILE, runs_as_json(runs))
        return {"num_runs": len(runs.loss), "num_left_out": len(runs.left_out)}

    def open(self, name: str, done: StageResult, given: Given) -> Runs:
        """The runs, from the stage."""
        return runs_from_json(read_json(done.path / RUNS_FILE))


@dataclass(frozen=True, kw_only=True)
class FitStep(Step):
    """Fits the laws; quick enough that `burnish verify` repeats it.

    Source: ours. Oracle: tests/scaling/test_fit_job.py::test_a_run_holds_what_was_fitted
    """

    fit: FitSettings
    name: str = STAGE
    verified: Verification = "again"

    @property
    def reads(self) -> tuple[str, ...]:
        """Cleaned runs."""
        return ("runs",)

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Fit one law, or all."""
        runs = given["runs"]
        found = (
            analyse_all(runs, self.fit)
            if self.fit.law == ALL
            else analyse(self.fit.law, runs, self.fit)
        )
        write_json(stage.path / DRAWS, finite_draws(found).tolist())
        return {"told": dict(found.told), "points": points_of(found, runs)}

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """The fit and its page."""
        told = done.output["told"]
        return (Told.of_page(fit_page(told, done.output["points"]), told),)


def finite_draws(found: LawReport) -> np.ndarray:
    """The bootstrapped thetas that are finite."""
    draws = found.fit.draws
    return draws[np.isfinite(draws).all(axis=1)]


def points_of(found: LawReport, runs: Runs) -> list[dict[str, float]]:
    """Every run with the loss that the law predicts."""
    fitted = found.fit.predict(runs.columns)
    names = [name for name in POINT_COLUMNS if name in runs.columns]
    return [
        {name: float(runs.columns[name][i]) for name in names}
        | {"loss": float(runs.loss[i]), "fitted": float(fitted[i])}
        for i in range(len(fitted))
    ]


def runs_as_json(runs: Runs) -> dict[str, Any]:
    """Runs as JSON values."""
    return {
        "columns": {name: values.tolist() for name, values in runs.columns.items()},
        "given": list(runs.given), "lines": list(runs.lines), "counts": runs.counts,
        "notes": list(runs.notes), "left_out": [dict(row) for row in runs.left_out],
        "seed_noise": runs.seed_noise,
    }  # fmt: skip


def runs_from_json(value: Mapping[str, Any]) -> Runs:
    """The inverse of `runs_as_json`."""
    columns = {name: np.array(values, dtype=float) for name, values in value["columns"].items()}
    return Runs(**{**value, "columns": columns})
