"""Why a curve falls: a position that the model cannot pass, or a distance it cannot look back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from burnish.base.errors import InputError
from burnish.base.rng import stream
from burnish.base.stats import bootstrap
from burnish.recall.geometry import Layout

LEAST_FALL = 0.1  # of the copy curve; below, there is nothing to explain
LEAST_DIFFERENCE = 2.0  # of BIC: less decides nothing
NUM_RESAMPLES = 200


@dataclass(frozen=True, kw_only=True)
class Curves:
    """The measured lengths, and both curves there."""

    lengths: tuple[int, ...]
    copy: np.ndarray
    lm: np.ndarray
    layout: Layout


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A limit [tokens] with the range that fits alike, and how well both curves follow it."""

    value: int
    low: int
    high: int
    r2_copy: float
    r2_lm: float
    rmse: float
    bic: float

    @property
    def r2(self) -> float:
        """The fraction of the copy curve's variance that is explained."""
        return self.r2_copy


def share_below(layout: Layout, lengths: Sequence[int], limits: np.ndarray) -> np.ndarray:
    """Share of the scored rows at positions below each limit, `[limit, length]`.

    In paper mode it is f(L; P) = clip((P - 2L - 1 + h) / h, 0, 1) with h = ceil(L/2).
    Source: ours. Oracle: tests/recall/test_limits.py::test_share_below_is_the_formula
    """
    starts = np.array([layout.positions(length).start for length in lengths])
    counts = np.array([layout.scored(length) for length in lengths])
    return np.clip((limits[:, None] - starts) / counts, 0, 1)


def fit_position(curves: Curves) -> Limit:
    """A model that works below one absolute position and is broken above it.

    Both curves are f * inside + (1 - f) * outside, with one limit and their own levels; limits
    are tried one by one. Source: ours; refits the numbers published with the paper's code.
    Oracle: tests/recall/test_limits.py::test_refit_of_the_published_curve
    """
    first = curves.layout.positions(curves.lengths[0]).start
    last = curves.layout.positions(curves.lengths[-1]).stop
    limits = np.arange(first + 1, last)
    shares = share_below(curves.layout, curves.lengths, limits)
    copy, lm = (_explained(shares, curve) for curve in (curves.copy, curves.lm))
    return _limit(limits, copy, lm, curves, num_parameters=5)


def fit_distance(curves: Curves) -> Limit:
    """A model that copies up to one distance and not beyond, and predicts as well everywhere.

    Source: ours. Oracle: tests/recall/test_limits.py::test_planted_causes_are_told_apart
    """
    limits = np.array(curves.lengths[:-1])
    steps = (np.array(curves.lengths)[None, :] <= limits[:, None]).astype(float)
    level = np.full(len(limits), float(((curves.lm - curves.lm.mean()) ** 2).sum()))
    copy = _explained(steps, curves.copy)
    found = _limit(limits, copy, level, curves, num_parameters=4)
    beyond = curves.lengths[curves.lengths.index(found.high) + 1]
    return Limit(**(vars(found) | {"high": beyond - 1, "value": found.low}))


def _explained(shares: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """Squared error left by the best levels inside and outside, for each limit; inside is higher.

    A limit that the curve does not cross, or that would raise it, explains nothing.
    """
    x = shares - shares.mean(axis=1, keepdims=True)
    y = curve - curve.mean()
    spread, product = (x**2).sum(axis=1), x @ y
    usable = (spread > 1e-12) & (product > 0)
    gain = np.where(usable, product**2 / np.where(usable, spread, 1.0), 0.0)
    return float((y**2).sum()) - gain


def _limit(
    limits: np.ndarray, copy: np.ndarray, lm: np.ndarray, curves: Curves, *, num_parameters: int
) -> Limit:
    total = copy + lm
    alike = np.flatnonzero(total <= total.min() + 1e-9)
    best = int(alike[len(alike) // 2])
    num = 2 * len(curves.lengths)
    left = max(float(total[best]), 1e-12 * num)
    return Limit(
        value=int(limits[best]),
        low=int(limits[alike[0]]),
        high=int(limits[alike[-1]]),
        r2_copy=_r2(copy[best], curves.copy),
        r2_lm=_r2(lm[best], curves.lm),
        rmse=float(np.sqrt(max(copy[best], 0.0) / len(curves.lengths))),
        bic=num * float(np.log(left / num)) + num_parameters * float(np.log(num)),
    )


def _r2(left: float, curve: np.ndarray) -> float:
    whole = float(((curve - curve.mean()) ** 2).sum())
    return 1.0 - float(left) / whole if whole > 0 else 0.0


def fit_limits(curve: Mapping[str, Any], *, seed: int = 0) -> dict[str, Any]:
    """Fit both limits to a curve that `recall curve` wrote, and name the better explanation.

    `cause` is `position`, `distance`, `undetermined` where both explain it alike, or `none` where
    the copy curve falls by less than 0.1: then the limit is null.
    Raises InputError for what is no curve, or has fewer than four measured lengths.
    Source: ours; models compared by BIC.
    Oracle: tests/recall/test_limits.py::test_planted_causes_are_told_apart
    """
    curves = read_curves(curve)
    position, distance = fit_position(curves), fit_distance(curves)
    fall = float(curves.copy.max() - curves.copy[-1])
    cause = "none"
    if fall >= LEAST_FALL:
        difference = distance.bic - position.bic
        cause = "position" if difference > 0 else "distance"
        cause = cause if abs(difference) > LEAST_DIFFERENCE else "undetermined"
    found = cause != "none"
    low, high = _interval(curve, curves, position, seed) if found else (None, None)
    return {
        "position_limit": position.value if found else None,
        "position_low": low,
        "position_high": high,
        "r2": position.r2,
        "r2_lm": position.r2_lm,
        "rmse": position.rmse,
        "distance_limit": distance.value if found else None,
        "distance_high": distance.high if found else None,
        "distance_r2": distance.r2,
        "bic_position_minus_distance": position.bic - distance.bic,
        "cause": cause,
        "num_points": len(curves.lengths),
    }


def read_curves(curve: Mapping[str, Any]) -> Curves:
    """The measured points of a curve. Raises InputError."""
    try:
        points = [p for p in curve["points"] if p["copy"] is not None]
        layout = Layout(**{
            name: curve[name] for name in ("mode", "cue_tokens", "scored_tokens") if name in curve
        })  # fmt: skip
        lengths = tuple(int(p["length"]) for p in points)
        copy, lm = (np.array([float(p[side]["value"]) for p in points]) for side in ("copy", "lm"))
    except (KeyError, TypeError, ValueError) as error:
        rule, remedy = "must be what `burnish recall curve --json` prints", "Name such a file"
        raise InputError("curve", str(error), rule, remedy=remedy) from error
    if len(points) < 4 or list(lengths) != sorted(set(lengths)):
        rule = "must have four measured lengths or more, ascending"
        raise InputError("curve", list(lengths), rule, remedy="Measure more lengths")
    return Curves(lengths=lengths, copy=copy, lm=lm, layout=layout)


def _interval(
    curve: Mapping[str, Any], curves: Curves, position: Limit, seed: int
) -> tuple[int, int]:
    """The limit's interval over trials, where the curve holds them; never less than ties allow."""
    trials = curve.get("trials")
    if not trials or any(x is None for side in trials.values() for row in side for x in row):
        return position.low, position.high
    sides = {name: np.array(rows) for name, rows in trials.items()}

    def statistic(picks: np.ndarray) -> float:
        drawn = {name: rows[picks.astype(int)].mean(axis=0) for name, rows in sides.items()}
        return fit_position(Curves(lengths=curves.lengths, layout=curves.layout, **drawn)).value

    found = bootstrap(
        np.arange(len(sides["copy"])), rng=stream(seed, "limit"), statistic=statistic,
        num_resamples=NUM_RESAMPLES,
    )  # fmt: skip
    return min(position.low, int(found.low)), max(position.high, int(found.high))
