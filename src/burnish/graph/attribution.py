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
    """The conclusion in one sentence, and whether it is a gain.

    Source: ours. Oracle: tests/graph/test_attribution.py::test_conclusions
    """

    def said(name: str) -> str:
        row = found[name]
        points = [f"{100 * row[part]:+.1f}" for part in ("value", "low", "high")]
        return f"{points[0]} points [{points[1]}, {points[2]}]"

    parts, good = list[str](), None
    if "over_bm25" in found:
        low, high = found["over_bm25"]["low"], found["over_bm25"]["high"]
        good = True if low > 0 else (False if high < 0 else None)
        parts.append(f"Examples by the graph are {said('over_bm25')} over BM25")
    if "feedback" in found:
        parts.append(f"feedback adds {said('feedback')}")
    if "language_model" in found:
        row = found["language_model"]
        verb = "adds" if row["low"] > 0 else "does not show a gain over"
        if row["low"] > 0:
            parts.append(
                f"the language model {verb} {said('language_model')} to its examples' vote"
            )
        else:
            parts.append(f"the language model {verb} the vote of its examples "
                         f"({said('language_model')})")  # fmt: skip
    if not parts:
        names = ", ".join(accuracy)
        return f"Measured: {names}.", None
    return "; ".join(parts) + ".", good
