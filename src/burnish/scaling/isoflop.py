"""IsoFLOP profiles: a parabola per budget, a power law through their vertices, and its bias."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from burnish.base.errors import InputError
from burnish.contracts.law import Column
from burnish.scaling.runs import Runs

SAME_BUDGET = 0.15  # relative difference of compute within one profile
LEAST_SIZES = 3


def vertex(log_n: Column, loss: Column) -> tuple[float, float]:
    """Position and curvature of the parabola's minimum; logs have base e.

    Raises: InputError, where the vertex lies outside the grid or is a maximum.
    Source: Hoffmann et al. 2022, section 3.2; refusing outside vertices is ours.
    Oracle: tests/scaling/test_isoflop.py::test_a_vertex_outside_the_grid_is_refused
    """
    centre = log_n.mean()
    a, b, _ = np.polyfit(log_n - centre, loss, 2)
    if a <= 0:
        slope = b if a == 0 else float(np.polyfit(log_n, loss, 1)[0])
        way = "larger" if slope < 0 else "smaller"
        rule, remedy = "must have a minimum", f"Add {way} models at this compute"
        raise InputError("IsoFLOP profile", float(a), rule, remedy=remedy)
    place = float(centre - b / (2 * a))
    if not log_n.min() <= place <= log_n.max():
        way = "larger" if place > log_n.max() else "smaller"
        rule = f"must have its minimum inside the grid [{log_n.min():.3g}, {log_n.max():.3g}]"
        raise InputError("IsoFLOP profile", place, rule, remedy=f"Add {way} models")
    return place, float(2 * a)


def profiles(runs: Runs) -> list[np.ndarray]:
    """Indices of the runs of each budget that has enough sizes, smallest budget first."""
    order = np.argsort(runs.columns["c"], kind="stable")
    compute = runs.columns["c"][order]
    breaks = np.flatnonzero(compute[1:] > compute[:-1] * (1 + SAME_BUDGET)) + 1
    groups = np.split(order, breaks)
    sizes = [len(np.unique(runs.columns["n"][group])) for group in groups]
    return [group for group, size in zip(groups, sizes, strict=True) if size >= LEAST_SIZES]


def grid_bias(losses: Callable[[Column], Column], log_n: Column, optimum: float) -> float:
    """How far the parabola's vertex is above the law's optimum, in log N, on a grid of sizes.

    Source: Open-Athena, scaling-law-analysis: the parabola is biased where the surface is skew.
    Oracle: tests/scaling/test_isoflop.py::test_bias_is_the_closed_form
    """
    centre = log_n.mean()
    a, b, _ = np.polyfit(log_n - centre, losses(log_n), 2)
    return float(centre - b / (2 * a) - optimum)


def isoflop(runs: Runs, natural: Mapping[str, float] | None) -> dict[str, Any] | None:
    """N_opt ~ C^a through the vertices, weighted by curvature; None without two profiles.

    With the parameters of a `chinchilla` fit, the bias of each vertex on its own grid is
    reported, and `exponent_corrected` is fitted without it.
    Source: Hoffmann et al. 2022, approach 2. Departure: weights, and the bias.
    Oracle: tests/scaling/test_isoflop.py::test_planted_exponent
    """
    rows, rejected = [], []
    for group in profiles(runs):
        log_n, loss = np.log(runs.columns["n"][group]), runs.loss[group]
        budget = float(np.exp(np.log(runs.columns["c"][group]).mean()))
        try:
            place, curvature = vertex(log_n, loss)
        except InputError as error:
            rejected.append({"c": budget, "why": f"{error.rule}. {error.remedy}"})
            continue
        bias = _bias(natural, log_n, budget) if natural else None
        rows.append({"c": budget, "n": float(np.exp(place)), "curvature": curvature, "bias": bias})
    if len(rows) + len(rejected) < 2:
        return None
    found: dict[str, Any] = {"vertices": rows, "rejected": rejected, "exponent": None}
    if len(rows) >= 2:
        c, n = (np.log([row[name] for row in rows]) for name in ("c", "n"))
        weights = np.sqrt([row["curvature"] for row in rows])
        found["exponent"] = float(np.polyfit(c, n, 1, w=weights)[0])
        if natural:
            bias = np.array([row["bias"] for row in rows])
            found["exponent_corrected"] = float(np.polyfit(c, n - bias, 1, w=weights)[0])
    return found


def _bias(natural: Mapping[str, float], log_n: Column, budget: float) -> float:
    alpha, beta = natural["alpha"], natural["beta"]
    a, b = natural["A"], natural["B"]
    ratio = np.log(alpha * a / (beta * b)) + beta * np.log(budget / 6)

    def losses(log_n: Column) -> Column:
        tokens = budget / 6 / np.exp(log_n)
        return natural["sigma"] + a * np.exp(-alpha * log_n) + b * tokens**-beta

    return grid_bias(losses, log_n, float(ratio / (alpha + beta)))
