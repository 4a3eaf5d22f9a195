"""Extrapolation: fit the smaller runs, predict the largest."""

from dataclasses import replace
from typing import Any

import numpy as np

from burnish.base.errors import InputError
from burnish.contracts.law import Law
from burnish.scaling.fitting import fit_law
from burnish.scaling.identify import check_identified
from burnish.scaling.runs import Runs
from burnish.scaling.settings import FitSettings


def split_by_compute(runs: Runs, share: float) -> tuple[Runs, Runs]:
    """The runs below a compute, and about `share` of all above it; equal compute stays together.

    Source: ours. Oracle: tests/scaling/test_holdout.py::test_the_largest_runs_are_held_out
    """
    compute = runs.columns["c"]
    first = int(np.ceil(len(compute) * (1 - share)))
    edge = np.sort(compute)[min(first, len(compute) - 1)]
    above = compute >= edge * (1 - 1e-9)
    return runs.take(~above), runs.take(above)


def holdout_error(name: str, law: Law, runs: Runs, settings: FitSettings) -> dict[str, Any]:
    """Relative errors on the largest runs, of a law fitted without them.

    `median`, `largest` (at the largest run) and `worst` are absolute; None, with a reason, where
    the smaller runs cannot identify the law.
    Source: ours. Oracle: tests/scaling/test_holdout.py::test_a_planted_law_extrapolates
    """
    below, above = split_by_compute(runs, settings.holdout_frac)
    try:
        if len(below.loss) == 0:
            raise InputError("runs", 1, "must differ in compute", remedy="Add runs")
        check_identified(name, law, below)
    except InputError as error:
        return {"median": None, "why": error.rule}
    fit = fit_law(law, below.columns, below.loss, replace(settings, resamples=0))
    errors = fit.predict(above.columns) / above.loss - 1
    last = int(np.argmax(above.columns["c"]))
    return {
        "median": float(np.median(np.abs(errors))),
        "largest": float(abs(errors[last])),
        "worst": float(np.abs(errors).max()),
        "num_below": len(below.loss),
        "num_above": len(above.loss),
        "factor": float(above.columns["c"].max() / below.columns["c"].max()),
    }
