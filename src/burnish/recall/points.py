"""Rows of hits -> the curve: points with intervals, states, memory lengths."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from burnish.base.errors import IncompleteError
from burnish.base.stats import Estimate
from burnish.recall import lengths as memory
from burnish.recall.geometry import ESTIMATORS
from burnish.recall.measure import Row
from burnish.recall.settings import RecallSettings

FINE_SHARES = (0.95, 0.99, 0.999)
NUM_BINS = 8


@dataclass(frozen=True, kw_only=True)
class Accuracies:
    """Share of scored tokens predicted right, `[trial, length]`; NaN where that failed."""

    lengths: tuple[int, ...]
    copy: np.ndarray
    lm: np.ndarray
    errors: Mapping[int, str]  # by length
    num_near_ties: int

    @property
    def whole(self) -> np.ndarray:
        """Which trials have both accuracies, by length."""
        return ~(np.isnan(self.copy) | np.isnan(self.lm))

    def check(self) -> None:
        """Raise IncompleteError where no length has two whole trials: there is no curve."""
        if (self.whole.sum(axis=0) >= 2).any():
            return
        why = next(iter(self.errors.values()), "no rows")
        remedy = "Use shorter lengths, or a smaller chunk_rows"
        rule = f"must leave two trials at some length; the first failure was {why}"
        raise IncompleteError("curve", len(self.errors), rule, remedy=remedy)


def accuracies(rows: Sequence[Row], lengths: Sequence[int], trials: int) -> Accuracies:
    """Table the rows; a later row of the same name counts.

    Source: official code, `get_acc`. Oracle: tests/recall/test_points.py::test_metric_units
    """
    sides = {side: np.full((trials, len(lengths)), np.nan) for side in ("copy", "lm")}
    errors: dict[int, str] = {}
    ties = 0
    for row in rows:
        at = row["trial"], list(lengths).index(row["length"])
        if "error" in row:
            errors[row["length"]] = row["error"]
            continue
        sides[row["side"]][at] = row["hits"].count("1") / len(row["hits"])
        ties += row["near_ties"]
    return Accuracies(lengths=tuple(lengths), **sides, errors=errors, num_near_ties=ties)


def make_curve(rows: Sequence[Row], settings: RecallSettings) -> dict[str, Any]:
    """What `recall curve --json` prints of the measurement itself.

    Raises IncompleteError where no length has two whole trials.
    Source: ours; the taxonomy fine, coarse, amnesia is the paper's, collapse is ours.
    Oracle: tests/recall/test_planted.py::test_a_window_is_found_exactly
    """
    found = accuracies(rows, settings.grid(), settings.trials)
    return judge(found, settings) | {"heat": heat(rows, settings)}


def judge(found: Accuracies, settings: RecallSettings) -> dict[str, Any]:
    """Points, states and memory lengths of accuracies. Raises IncompleteError."""
    found.check()
    points = _points(found, settings)
    usual = [point for point in points if point["length"] >= settings.least_tokens]
    measured = [point for point in usual if point["state"] != "failed"]
    fine, coarse = _memory_lengths(found, points, settings)
    return {
        "mode": settings.mode,
        "estimator": ESTIMATORS[settings.mode],
        "cue_tokens": settings.cue_tokens,
        "scored_tokens": settings.scored_tokens,
        "fine_share": settings.fine_share,
        "margin": settings.margin,
        "points": points,
        "fine_tokens": int(fine["value"]),
        "coarse_tokens": int(coarse["value"]),
        "state": _overall(measured),
        "fine": fine,
        "coarse": coarse,
        "fine_by_share": {
            str(share): memory.longest(
                [point["length"] for point in usual],
                [_at_least(point, share) for point in usual],
            )
            for share in FINE_SHARES
        },
        "collapse_tokens": next((p["length"] for p in usual if p["state"] == "collapse"), None),
        "contaminated_trials": memory.contaminated(found.lm),
        "num_near_ties": found.num_near_ties,
        "num_failed_lengths": sum(point["state"] == "failed" for point in points),
        "trials": {"copy": _listed(found.copy), "lm": _listed(found.lm)},
    }


def _points(found: Accuracies, settings: RecallSettings) -> list[dict[str, Any]]:
    """One a length; where fewer than two trials are whole, only the failure."""
    seed, whole = settings.seed, found.whole
    raw: list[float | None] = []
    estimates: list[dict[str, Estimate] | None] = []
    for index, length in enumerate(found.lengths):
        good = whole[:, index]
        copy, lm = found.copy[good, index], found.lm[good, index]
        if good.sum() < 2:
            raw.append(None)
            estimates.append(None)
            continue
        name = str(length)
        gap = memory.gap_estimate(lm, copy, seed=seed, name=name)
        sides = {"copy": copy, "lm": lm}
        shares = {
            side: memory.share_estimate(values, seed=seed, name=f"{side} {name}")
            for side, values in sides.items()
        }
        estimates.append({**shares, "gap": gap})
        margin = settings.margin
        raw.append(memory.margin_p_value(lm, copy, margin=margin, seed=seed, name=name))
    usual = [length >= settings.least_tokens for length in found.lengths]
    values = {s: [e[s].value if e else None for e in estimates] for s in ("lm", "copy")}
    broken = memory.collapsed(values["lm"], values["copy"], usual)
    rows = zip(found.lengths, estimates, memory.adjusted(raw), broken, strict=True)
    return [
        _point(length, some, p, collapsed, settings)
        | {"num_failed": int((~whole[:, index]).sum()), "error": found.errors.get(length)}
        for index, (length, some, p, collapsed) in enumerate(rows)
    ]


def _point(
    length: int,
    estimates: dict[str, Estimate] | None,
    adjusted_p: float | None,
    broken: bool,
    settings: RecallSettings,
) -> dict[str, Any]:
    if estimates is None or adjusted_p is None:
        nothing = dict.fromkeys(("copy", "lm", "gap", "p_value"))
        return {"length": length, **nothing, "state": "failed"}
    state = memory.state_of(
        copy=estimates["copy"].value,
        adjusted_p=adjusted_p,
        broken=broken,
        fine_share=settings.fine_share,
    )
    told = {name: estimate.to_dict() for name, estimate in estimates.items()}
    return {"length": length, **told, "p_value": adjusted_p, "state": state}


def _memory_lengths(
    found: Accuracies, points: Sequence[Mapping[str, Any]], settings: RecallSettings
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fine and coarse length, each with an interval and whether the grid ended first."""
    keep = [i for i, length in enumerate(found.lengths) if length >= settings.least_tokens]
    grid = [found.lengths[i] for i in keep]
    good = found.whole[:, keep].all(axis=0)
    copy = np.where(good, found.copy[:, keep], np.nan)
    gap = copy - np.where(good, found.lm[:, keep], np.nan)
    tested = memory.longest(grid, [_remembered(points[i]) for i in keep])
    fine = memory.length_estimate(
        grid, copy, settings.fine_share, seed=settings.seed, name="fine"
    ).to_dict()
    coarse = memory.length_estimate(
        grid, gap, settings.margin, seed=settings.seed, name="coarse"
    ).to_dict()
    coarse |= {"value": float(tested), "low": min(coarse["low"], tested)}
    coarse["high"] = max(coarse["high"], tested)
    for one in (fine, coarse):
        one["at_least"] = bool(grid) and one["value"] == grid[-1]  # the grid ended first
    return fine, coarse


def _at_least(point: Mapping[str, Any], share: float) -> bool | None:
    return None if point["copy"] is None else point["copy"]["value"] >= share


def _remembered(point: Mapping[str, Any]) -> bool | None:
    if point["state"] == "failed":
        return None
    return point["state"] != "collapse" and point["p_value"] < memory.ALPHA


def _overall(measured: Sequence[Mapping[str, Any]]) -> str:
    """`no copying` where the shortest usual length shows none, else the longest one's state."""
    if not measured:
        return "failed"
    if not _remembered(measured[0]):
        return "no copying"
    return measured[-1]["state"]


def heat(rows: Sequence[Row], settings: RecallSettings) -> list[dict[str, Any]]:
    """Copy accuracy by distance (the length) and absolute position, in `NUM_BINS` equal bins.

    What falls along positions is a position limit; what falls along distances is forgetting.
    Source: ours. Oracle: tests/recall/test_points.py::test_heat_counts_every_scored_token_once
    """
    layout, grid = settings.layout(), settings.grid()
    end = layout.positions(grid[-1]).stop
    edges = [end * i // NUM_BINS for i in range(NUM_BINS + 1)]
    counts: dict[tuple[int, int], list[int]] = {}
    for row in rows:
        if row["side"] != "copy" or "hits" not in row:
            continue
        for position, hit in zip(layout.positions(row["length"]), row["hits"], strict=True):
            bin_ = next(i for i in range(NUM_BINS) if position < edges[i + 1])
            count = counts.setdefault((row["length"], bin_), [0, 0])
            count[0] += hit == "1"
            count[1] += 1
    return [
        {"length": length, "first": edges[b], "last": edges[b + 1] - 1, "copy": right / n, "n": n}
        for (length, b), (right, n) in sorted(counts.items())
    ]


def _listed(values: np.ndarray) -> list[list[float | None]]:
    return [[None if np.isnan(x) else round(float(x), 6) for x in row] for row in values]
