"""Gradient noise scale from squared norms at two batch sizes; nothing is clamped."""

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from burnish.base.errors import InputError
from burnish.base.stats import ratio_of_means
from burnish.scaling.table import Table, numbers_in, read_table


@dataclass(frozen=True, kw_only=True)
class TwoBatch:
    """Squared norms of the mean gradient over `small` and over `big` examples, at one step."""

    small: float
    big: float
    small_sq_norm: float
    big_sq_norm: float

    @property
    def gradient(self) -> float:
        """Unbiased |G|^2; may be negative."""
        top = self.big * self.big_sq_norm - self.small * self.small_sq_norm
        return top / (self.big - self.small)

    @property
    def noise(self) -> float:
        """Unbiased tr(Sigma); may be negative."""
        return (self.small_sq_norm - self.big_sq_norm) / (1 / self.small - 1 / self.big)


def noise_scale(
    noise: Sequence[float], gradient: Sequence[float], *, confidence: float = 0.95
) -> dict[str, Any]:
    """B_simple = mean of tr(Sigma) over mean of |G|^2, each averaged over steps first.

    `state` is `resolved` only if the interval is finite and positive; one step has no interval.
    Source: McCandlish et al. 2018, arXiv 1812.06162, appendix A.1; Fieller's interval is ours.
    Oracle: tests/scaling/test_noise_scale.py::test_planted_noise_is_covered,
    ::test_averages_come_first
    """
    s, g = float(np.mean(noise)), float(np.mean(gradient))
    low = high = None
    if len(noise) > 1:
        found = ratio_of_means(noise, gradient, confidence=confidence)
        low = found.low if np.isfinite(found.low) else None
        high = found.high if np.isfinite(found.high) else None
    resolved = s > 0 and g > 0 and low is not None and high is not None and low > 0
    return {
        "noise_scale": s / g if s > 0 and g > 0 else None,
        "low": low,
        "high": high,
        "trace": s,
        "gradient_sq": g,
        "num_steps": len(noise),
        "state": "resolved" if resolved else "not resolved, more steps",
    }


NORM_COLUMNS: Mapping[str, Sequence[str]] = {
    "step": ("iteration", "iter"),
    "batch": ("batchsize", "batchtokens", "examples"),
    "sq_norm": ("sqnorm", "squarednorm", "gradsqnorm", "normsq", "meansqgradnorm"),
    "loss": ("trainloss", "trainingloss"),
}
IN_RUN = "stages/train/norms.jsonl"
NUM_PARTS = 4
LEAST_PAIRS = 8  # in a part


def read_norms(path: Path, columns: str) -> list[dict[str, float]]:
    """Rows of squared gradient norms from a table, or from a run that recorded them.

    Where a resumed run noted a step twice, the last stands.
    Raises: InputError, for a bad cell, or a run without norms; MissingFileError.
    Source: ours. Oracle: tests/scaling/test_noise_scale.py::test_noise_of_a_real_run
    """
    if path.is_dir():
        if not (path / IN_RUN).is_file():
            remedy = "Train with `arch pretrain --set gradient_norms=true`"
            raise InputError("run", str(path), "has no gradient norms", remedy=remedy)
        return _last_of_each(read_norms(path / IN_RUN, columns))
    return norms_in(read_table(path), columns)


def norms_in(table: Table, columns: str) -> list[dict[str, float]]:
    """Rows of squared gradient norms from a table. Raises: InputError, for a bad cell."""
    return numbers_in(table, columns, NORM_COLUMNS, ("batch", "sq_norm"), ("batch",))


def _last_of_each(rows: Sequence[dict[str, float]]) -> list[dict[str, float]]:
    """One row for each step and batch, in the order of steps."""
    last = {(row["step"], row["batch"]): row for row in rows}
    return [last[key] for key in sorted(last)]


def noise_by_part(
    rows: Sequence[Mapping[str, float]], *, block: int = 1, confidence: float = 0.95
) -> list[dict[str, Any]]:
    """The noise scale in each quarter of the steps, with its mean loss where rows have one.

    The noise scale grows as the loss falls, so that the whole run's is a mean over a trend. Empty
    where a quarter would hold fewer than eight steps.
    Source: as `noise_scale`.
    Oracle: tests/scaling/test_noise_scale.py::test_parts_follow_a_trend
    """
    steps = sorted({row.get("step", 0.0) for row in rows})
    if len(steps) < NUM_PARTS * LEAST_PAIRS:
        return []
    ends = np.linspace(0, len(steps), NUM_PARTS + 1).round().astype(int)
    found = []
    for first, last in itertools.pairwise(ends):
        within = [row for row in rows if steps[first] <= row.get("step", 0.0) <= steps[last - 1]]
        losses = [row["loss"] for row in within if "loss" in row]
        told = estimate_noise(pairs_from_rows(within), block=block, confidence=confidence)
        span = {"first_step": steps[first], "last_step": steps[last - 1]}
        span["loss"] = float(np.mean(losses)) if losses else None
        names = ("noise_scale", "low", "high", "state")
        found.append(span | {name: told[name] for name in names})
    return found


def pairs_from_rows(rows: Sequence[Mapping[str, float]]) -> list[TwoBatch]:
    """Each step's smallest and largest batch from rows of `step`, `batch`, `sq_norm`.

    Rows without a step are one step. Several rows of one batch size at a step are averaged.
    Raises: InputError, where no step has two batch sizes.
    """
    steps: dict[float, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        steps[row.get("step", 0)][row["batch"]].append(row["sq_norm"])
    found = []
    for sizes in steps.values():
        if len(sizes) < 2:
            continue
        small, big = min(sizes), max(sizes)
        found.append(
            TwoBatch(
                small=small,
                big=big,
                small_sq_norm=float(np.mean(sizes[small])),
                big_sq_norm=float(np.mean(sizes[big])),
            )
        )
    if not found:
        rule, remedy = "must have two batch sizes at a step", "Log norms at a second batch size"
        sizes = sorted({row["batch"] for row in rows})
        raise InputError("gradient norms", sizes[:5], rule, remedy=remedy)
    return found


def estimate_noise(
    pairs: Sequence[TwoBatch], *, block: int = 1, confidence: float = 0.95
) -> dict[str, Any]:
    """The noise scale of measured pairs; `block` steps in a row are averaged into one unit.

    Consecutive steps are correlated; blocks longer than that make the interval honest.
    Source: as `noise_scale`.
    Oracle: tests/scaling/test_noise_scale.py::test_planted_noise_is_covered
    """
    whole = max(1, len(pairs) // block)
    noise = [float(np.mean([p.noise for p in part])) for part in _parts(pairs, whole)]
    gradient = [float(np.mean([p.gradient for p in part])) for part in _parts(pairs, whole)]
    found = noise_scale(noise, gradient, confidence=confidence)
    return found | {"num_steps": len(pairs), "num_units": whole}


def _parts(pairs: Sequence[TwoBatch], num_parts: int) -> list[list[TwoBatch]]:
    ends = np.linspace(0, len(pairs), num_parts + 1).round().astype(int)
    return [list(pairs[a:b]) for a, b in itertools.pairwise(ends)]
