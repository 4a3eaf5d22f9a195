"""What a step took, as a value that later steps can tell of."""

from collections.abc import Mapping
from typing import Any

from burnish.base.meter import Meter
from burnish.base.stages import StageResult
from burnish.jobs.step import METERED, Given, Step

Taken = tuple[int, float]  # tokens read, written and trained on; seconds


class TakenPart(Step):
    """A step that also tells what it took. It is a value of its own, and changes no result.

    Source: ours. Oracle: tests/recipes/test_scaling_step.py::test_a_pilot_plans_the_rounds
    """

    @property
    def writes(self) -> Mapping[str, str]:
        """What the step writes, and what it took."""
        return {**super().writes, taken_by(self.name): ""}

    def key_of(self, name: str, done: StageResult) -> str:
        """What was taken has no key."""
        return "" if name == taken_by(self.name) else super().key_of(name, done)

    def open(self, name: str, done: StageResult, given: Given) -> Any:
        """What was written, or what it took."""
        if name != taken_by(self.name):
            return super().open(name, done, given)
        totals = Meter.from_dict(done.output[METERED]).totals()
        tokens = sum(totals[kind] for kind in ("generated", "prefilled", "trained_on"))
        return tokens, done.seconds


def taken_by(name: str) -> str:
    """Name of the value that says what a step took."""
    return f"{name}-taken"
