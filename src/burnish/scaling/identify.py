"""Which of a law's parameters the runs identify."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from burnish.base.errors import InputError
from burnish.contracts.law import Law
from burnish.scaling.fitting import Fit, jacobian
from burnish.scaling.runs import Runs
from burnish.scaling.terms import LEAST_VALUES

WIDE_RATIO = 100.0  # of an amplitude's interval ends, from which on it tells next to nothing
LARGEST = 1e15  # ratio of singular values; a larger one is rounding in fp64
SINGULAR = 1e-7  # of the scaled Jacobian's singular values


def missing_columns(law: Law, runs: Runs) -> list[str]:
    """Columns that the law needs and the runs lack."""
    return [name for name in law.columns if name not in runs.columns]


def check_identified(name: str, law: Law, runs: Runs) -> None:
    """Raise InputError if these runs cannot identify the law's parameters at all.

    Source: ours. Oracle: tests/scaling/test_identify.py::test_what_runs_cannot_tell_is_said
    """
    if missing := missing_columns(law, runs):
        rule, remedy = f"needs columns {', '.join(law.columns)}", "Name them with --columns"
        raise InputError(f"law {name}", f"no {', '.join(missing)}", rule, remedy=remedy)
    least = len(law.params) + 1
    unknown = law.unidentified(runs.columns)
    if unknown and len(runs.loss) >= LEAST_VALUES:
        why = next(iter(unknown.values()))
        rule = f"does not identify {', '.join(unknown)}: {why}"
        raise InputError(f"law {name}", f"{len(runs.loss)} runs", rule, remedy=_instead(runs, why))
    if len(runs.loss) < least:
        lost = [f"line {row['line']} ({row['why']})" for row in runs.left_out[:4]]
        remedy = f"Left out: {', '.join(lost)}" if lost else "Add runs, or fit --law compute"
        rule = f"needs at least {least} runs for its {len(law.params)} parameters"
        raise InputError(f"law {name}", len(runs.loss), rule, remedy=remedy)


def _instead(runs: Runs, why: str) -> str:
    if "follow from one another" in why:
        return "The law of compute is identified: --law compute; or add runs at other ratios"
    if len(np.unique(runs.columns["n"])) < 3 <= len(np.unique(runs.columns["d"])):
        return "The law of tokens is identified: --law data; or add runs of other sizes"
    if len(np.unique(runs.columns["d"])) < 3 <= len(np.unique(runs.columns["n"])):
        return "The law of size is identified: --law size; or add runs on other amounts of data"
    return "Add runs that vary it, or fit a law without it"


def report(
    fit: Fit, runs: Runs, intervals: Mapping[str, list[float] | None]
) -> tuple[float | None, list[str]]:
    """Condition number of the normal matrix (None: singular), and what is weakly identified.

    Source: ours. Oracle: tests/scaling/test_identify.py::test_a_flat_direction_is_named
    """
    slopes = jacobian(fit.law.surface(runs.columns), fit.theta, len(runs.loss))
    singular = np.linalg.svd(slopes, compute_uv=False)
    known = singular[-1] * LARGEST > singular[0]
    condition = float((singular[0] / singular[-1]) ** 2) if known else None
    scale = np.linalg.norm(slopes, axis=0)
    found = []
    if (scale == 0).any():
        lost = [name for name, size in zip(fit.law.params, scale, strict=True) if size == 0]
        found.append(f"not identified: {', '.join(lost)} (no run depends on it)")
    else:
        _, sizes, ways = np.linalg.svd(slopes / scale)
        if sizes[-1] < SINGULAR * sizes[0]:
            at = np.flatnonzero(np.abs(ways[-1]) > 0.3)
            found.append(f"not identified apart: {', '.join(fit.law.params[i] for i in at)}")
    found += _weak(fit.natural, intervals)
    return condition, found


def _weak(natural: Mapping[str, float], intervals: Mapping[str, list[float] | None]) -> list[str]:
    """Parameters whose interval covers both signs, or orders of magnitude."""
    found = []
    for name in natural:
        ends: Any = intervals.get(name)
        if ends is None:
            continue
        low, high = ends
        if low < 0 < high:
            found.append(f"the sign of {name} is not resolved")
        elif low > 0 and high / low > WIDE_RATIO:
            found.append(f"{name} is known to a factor of {high / low:.0e} only")
    return found
