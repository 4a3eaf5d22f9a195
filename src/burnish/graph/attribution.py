"""What the language model, the graph network, the feedback and the graph each add."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from burnish.base.rng import stream
from burnish.base.stats import Estimate, bootstrap, paired_difference, wilson

CONTRASTS = (  # name, with, without, what the difference is
    ("language_model", "ours", "vote", "the prompt against the vote of its own examples"),
    ("over_gnn", "ours", "gnn-classifier", "the prompt against the graph network's own class"),
    ("graph", "ours", "permuted", "the graph against the same graph with nodes shuffled"),
    ("network", "ours", "text-knn", "learned retrieval against text retrieval"),
    ("feedback", "ours", "gnn", "feedback against the same network without"),
    ("over_bm25", "ours", "bm25", "learned retrieval against words"),
    ("over_random", "ours", "random", "learned retrieval against any examples"),
    ("examples", "ours", "zero-shot", "examples against none"),
    ("left_to_oracle", "oracle", "ours", "the best of the nearest by utility, which sees answers"),
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One query of one arm: `value` is 1 or 0 for right or wrong, or a mean NLL [nats]."""

    arm: str
    query: str
    seed: int
    value: float


def by_arm(rows: Sequence[Row]) -> dict[str, Estimate]:
    """Mean of every arm; a node that several seeds asked about counts as one unit.

    Shares of one seed have Wilson's interval.
    Source: ours. Oracle: tests/graph/test_attribution.py::test_means_and_intervals
    """
    found: dict[str, Estimate] = {}
    for arm in dict.fromkeys(row.arm for row in rows):
        own = [row for row in rows if row.arm == arm]
        values = np.array([row.value for row in own])
        if len({row.query for row in own}) == len(own) and np.isin(values, (0, 1)).all():
            found[arm] = wilson(int(values.sum()), len(values))
            continue
        rng = stream(0, "graph", "interval", arm)
        groups = [row.query for row in own]
        if len(set(groups)) > 1:
            found[arm] = bootstrap(values, rng=rng, groups=groups, num_resamples=2000)
    return found


def contrasts(rows: Sequence[Row], *, lower_is_better: bool) -> dict[str, Any]:
    """Paired differences, positive where the first arm is better; and each seed's own.

    Source: ours. Oracle: tests/graph/test_attribution.py::test_contrasts_are_paired
    """
    values = {(row.arm, row.query, row.seed): row.value for row in rows}
    found: dict[str, Any] = {}
    for name, first, second, meaning in CONTRASTS:
        pairs = [
            (values[second, q, s], v, q, s)
            for (arm, q, s), v in values.items()
            if arm == first and (second, q, s) in values
        ]
        if len({q for _, _, q, _ in pairs}) < 2:
            continue
        sign = -1.0 if lower_is_better else 1.0
        before, after = [sign * v for v, *_ in pairs], [sign * v for _, v, *_ in pairs]
        groups = [q for _, _, q, _ in pairs]
        alone = len(set(groups)) == len(groups) and not lower_is_better
        estimate = paired_difference(
            np.array(before) + 0.0, np.array(after) + 0.0, rng=stream(0, "graph", "paired", name),
            groups=None if alone else groups, num_resamples=2000,
        )  # fmt: skip
        found[name] = {
            **estimate.to_dict(), "first": first, "second": second, "meaning": meaning,
            "by_seed": _by_seed(pairs, sign),
        }  # fmt: skip
    return found


def _by_seed(pairs: Sequence[tuple[float, float, str, int]], sign: float) -> dict[str, float]:
    seeds = sorted({seed for *_, seed in pairs})
    return {
        str(seed): float(np.mean([sign * (a - b) for b, a, _, s in pairs if s == seed]))
        for seed in seeds
    }


def conclusion(accuracy: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[str, bool | None]:
    """The conclusion in one sentence, and whether it is a gain; the verbs follow the intervals.

    Source: ours. Oracle: tests/graph/test_attribution.py::test_conclusions
    """
    parts = list[str]()
    if "over_bm25" in found:
        verb = _by_sign(found["over_bm25"], "are better", "are worse", "are not shown to be better")
        parts.append(f"The graph's examples {verb} than BM25's: {_points(found['over_bm25'])}")
    for name, who in (("feedback", "feedback"), ("language_model", "the language model")):
        if name not in found:
            continue
        verb = _by_sign(found[name], "adds to", "takes from", "shows no gain over")
        what = "the same network" if name == "feedback" else "the vote of its examples"
        parts.append(f"{who} {verb} {what}: {_points(found[name])}")
    if not parts:
        names = ", ".join(accuracy)
        return f"Measured: {names}.", None
    good = _by_sign(found["over_bm25"], True, False, None) if "over_bm25" in found else None
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}.", good


def _by_sign(row: Mapping[str, Any], above: Any, below: Any, around: Any) -> Any:
    """What the interval says: above 0, below 0, or neither."""
    return above if row["low"] > 0 else (below if row["high"] < 0 else around)


def _points(row: Mapping[str, Any]) -> str:
    value, low, high = (f"{100 * row[part]:+.1f}" for part in ("value", "low", "high"))
    return f"{value} points [{low}, {high}]"
