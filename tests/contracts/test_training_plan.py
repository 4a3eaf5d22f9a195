"""The file between planning and pretraining."""

import json

import pytest

from burnish.base.errors import InputError, SettingError
from burnish.base.records import write_json
from burnish.contracts.training_plan import SCHEMA, TrainingPlan, read_plan

PLAN = TrainingPlan(
    name="a", law="chinchilla", counts="non-embedding", n=1e6, n_total=3e6, experts=8, top_k=2,
    d_tokens=2e7, batch_tokens=4096.0, num_steps=4883, lr=1e-3, train_flops=1.2e14, loss=3.5,
    loss_low=3.4,
)  # fmt: skip


def test_a_plan_is_read_as_written(tmp_path):
    write_json(tmp_path / "plan.json", PLAN)
    assert read_plan(tmp_path / "plan.json") == read_plan(tmp_path) == PLAN
    assert json.loads((tmp_path / "plan.json").read_text())["schema"] == SCHEMA


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"schema": "burnish.training-plan/9"}, InputError),
        ({"n": 0.0}, InputError),
        ({"n": "many"}, SettingError),
        ({"num_steps": -1}, InputError),
        ({"nn": 3}, SettingError),
    ],
)
def test_another_plan_is_refused(change, kind, tmp_path):
    write_json(tmp_path / "plan.json", {**vars(PLAN), **change})
    with pytest.raises(kind) as caught:
        read_plan(tmp_path)
    assert next(iter(change)) in str(caught.value)
