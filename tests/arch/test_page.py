"""What a run's page says of the plan file that it followed."""

import dataclasses
from typing import Any

import pytest

from burnish.arch.page import tell_against_plan
from burnish.arch.plan import Shape

SHAPE = Shape(num_layers=2, width=32, ffn_width=48, num_heads=1, num_kv_heads=1, vocab=300)
ACTIVE = 2 * 32 * (4 * 32 + 3 * 48)
PLAN = {
    "values": {"context": 16, "tokens": 64000, "batch_tokens": 640, "steps": 100,
               "learning_rate": 0.003},
    "shape": dataclasses.asdict(SHAPE),
}  # fmt: skip


def told(found: float, **planned: float) -> Any:
    (one,) = tell_against_plan(planned, "non-embedding", PLAN, found)
    return one


def test_plan_stands_beside_actual() -> None:
    planned = {"n": ACTIVE / 1.1, "d": 64000.0, "lr": 0.003, "train_flops": 6.0 * ACTIVE * 64000}
    one = told(3.7, **planned, loss=3.5, loss_low=3.4, loss_high=3.6)
    (table,) = one.blocks
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["n"] == [pytest.approx(ACTIVE / 1.1), ACTIVE, pytest.approx(10.0)]
    assert rows["d"][2] == rows["lr"][2] == rows["train_flops"][2] == 0.0
    assert rows["loss"] == [3.5, 3.7, pytest.approx(100 * 0.2 / 3.5)] and "steps" not in rows
    assert "outside the planned interval" in table.caption
    assert one.numbers["against_plan"]["loss_inside_interval"] is False
    assert (
        "inside the planned" in told(3.45, loss=3.5, loss_low=3.4, loss_high=3.6).blocks[0].caption
    )
    alone = told(3.0, n=1.0)
    assert "interval" not in alone.blocks[0].caption
    assert alone.numbers["against_plan"]["actual"] == {"n": ACTIVE}
