"""Gates on answers: a worse and a longer model fail, planted in answers that the job would measure.

The other gates are planted in their own files: twenty leaks in `test_leaks.py`, a slowed model in
`test_speed.py`, forgetting in `test_remembering.py` and `test_generality.py`.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from burnish.contracts.record import Gate
from burnish.jobs.step import Given, constant
from burnish.recipes.settings import ImproveSettings
from burnish.recipes.steps.after import AfterStep
from burnish.recipes.steps.before import BEFORE

NUM = 120


def gates_of(make_record: Any, *, right: int, tokens: int) -> dict[str, Gate]:
    """The gates that the step tells: 60 of 120 right before, 10 tokens an answer."""
    from burnish.base.stages import StageResult
    from burnish.data.tasks import make_task

    def side(num_right: int, length: int) -> list[Any]:
        spread = np.random.default_rng(0).integers(-2, 3, NUM)
        return [
            make_record("right" if i < num_right else "wrong", task=str(i), tokens=length + int(s))
            for i, s in enumerate(spread)
        ]

    step = AfterStep.configured(ImproveSettings())
    tasks = [make_task(f"p{i}", "1", group="g", checker="number") for i in range(NUM)]
    values = {step.name: side(right, tokens), BEFORE: side(60, 10), "heldout": tasks}
    given = Given("x", {name: constant(one) for name, one in values.items()}, [*values])
    done = StageResult(
        name=step.name,
        key="",
        path=Path("stage"),
        output={},
        artefacts=(),
        seconds=1.0,
        reused=False,
    )
    return {gate.name: gate for told in step.tell(done, given) for gate in told.gates}


@pytest.mark.parametrize(
    ("right", "tokens", "better", "not_longer"),
    [
        (90, 10, "pass", "pass"),  # nothing planted
        (40, 10, "fail", "pass"),  # a worse model
        (90, 14, "pass", "fail"),  # a longer one
        (61, 10, "undetermined", "pass"),
    ],
)
def test_planted_worse_and_longer_models_fail(
    right: int, tokens: int, better: str, not_longer: str, make_record: Any
) -> None:
    gates = gates_of(make_record, right=right, tokens=tokens)
    assert {name: gate.outcome for name, gate in gates.items()} == {
        "better": better, "not longer": not_longer,
    }  # fmt: skip
    assert (gates["better"].n_to_decide is not None) == (better == "undetermined")
