"""Curves of several blocks compared at equal cost, with intervals; and the page."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from burnish.contracts.page import Chart, Series, Table
from burnish.contracts.step import Told

AXES = {"parameters": "tokens", "FLOPs": "flops", "seconds": "seconds"}


def common_readings(arms: Sequence[Mapping[str, Any]], *, seed: int) -> list[dict[str, Any]]:
    """Loss of every block where all are equal, and its difference to the first block's.

    At equal parameters all have read the same tokens; at equal FLOPs and seconds as many as that
    allows. Each is read at the most that every block has reached, by a line between two
    measurements. Intervals are over held-out chunks, for means over seeds; the spread over seeds
    is beside them.
    Source: ours. Oracle: tests/arch/test_compare_job.py::test_readings_by_hand
    """
    from burnish.arch.measure import ratio

    found: list[dict[str, Any]] = []
    targets = arms[0]["runs"][0]["num_targets"]
    for name, axis in AXES.items():
        ends = [_scale(arm, run, axis) * run["points"][-1]["tokens"]
                for arm in arms for run in arm["runs"]]  # fmt: skip
        at = min(ends)
        read = [
            np.array([_read(run, at / _scale(arm, run, axis)) for run in arm["runs"]])
            for arm in arms
        ]
        for arm, nats in zip(arms, read, strict=True):
            own = nats.mean(0)
            less = own - read[0].mean(0)
            by_seed = nats.sum(1) / sum(targets)
            found.append(
                {
                    "equal": name,
                    "at": at,
                    "block": arm["block"],
                    "num_params": arm["num_params"],
                    "tokens": float(np.mean([at / _scale(arm, r, axis) for r in arm["runs"]])),
                    "loss": ratio(own.tolist(), targets, seed=seed).to_dict(),
                    "difference": ratio(less.tolist(), targets, seed=seed).to_dict(),
                    "loss_by_seed": by_seed.tolist(),
                    "num_seeds": len(by_seed),
                }
            )
    return found


def tell_comparison(output: Mapping[str, Any]) -> Sequence[Told]:
    """The verdict at equal FLOPs, the table, the curves."""
    readings, arms = output["readings"], output["arms"]
    columns = ["equal", "block", "parameters", "tokens", "loss [nats per token]", "interval"]
    columns += ["difference to the first", "interval of the difference", "spread over seeds"]
    rows = [
        [
            row["equal"],
            row["block"],
            row["num_params"],
            round(row["tokens"]),
            row["loss"]["value"],
            _interval(row["loss"]),
            row["difference"]["value"],
            _interval(row["difference"]),
            max(row["loss_by_seed"]) - min(row["loss_by_seed"]),
        ]
        for row in readings
    ]
    caption = (
        "95% intervals over held-out chunks, of means over seeds. The rate of each block is the "
        "best of the same grid."
    )
    table = Table(title="Blocks at equal cost", columns=columns, rows=rows, caption=caption)
    curves = Chart(
        title="Held-out loss",
        kind="line",
        series=[
            Series(name=name, x=[float(x) for x, _ in curve], y=[y for _, y in curve])
            for name, curve in output["curves"].items()
        ],
        x_label="tokens",
        y_label="nats per token",
    )
    numbers = {"arms": arms, "readings": readings}
    return (
        Told(numbers=numbers, verdict=(_verdict(readings), "measured"), blocks=(table, curves)),
    )


def _verdict(readings: Sequence[Mapping[str, Any]]) -> str:
    """Which blocks beat the first one, and at what cost, in a sentence."""
    said = []
    for row in readings:
        found = row["difference"]
        if row["block"] == readings[0]["block"]:
            continue
        word = "no different from"
        if found["high"] < 0:
            word = "better than"
        if found["low"] > 0:
            word = "worse than"
        said.append(f"at equal {row['equal']} {row['block']} is {word} {readings[0]['block']}")
    text = "; ".join(said)
    return f"{text[:1].upper()}{text[1:]}."


def _interval(found: Mapping[str, float]) -> str:
    return f"{found['low']:.4f} to {found['high']:.4f}"


def _scale(arm: Mapping[str, Any], run: Mapping[str, Any], axis: str) -> float:
    """Units of an axis a token."""
    if axis == "tokens":
        return 1.0
    return float(arm["train_flops_per_token"]) if axis == "flops" else 1 / run["tokens_per_s"]


def _read(run: Mapping[str, Any], tokens: float) -> np.ndarray:
    """Nats of every chunk after so many tokens."""
    points = run["points"]
    at = [point["tokens"] for point in points]
    nats = np.array([point["nats"] for point in points])
    return np.array([np.interp(tokens, at, column) for column in nats.T])
