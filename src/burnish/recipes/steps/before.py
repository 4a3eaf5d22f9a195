"""`before`: the base model answers the held-out tasks."""

from collections.abc import Sequence
from dataclasses import dataclass

from burnish.base.stages import StageResult
from burnish.contracts.step import Told
from burnish.jobs.step import Given
from burnish.recipes.settings import ImproveSettings
from burnish.recipes.steps import improve_steps
from burnish.recipes.steps.measure import HeldoutStep, control_row, measured_numbers

BEFORE = "measure-before"


@improve_steps.register("before")
@dataclass(frozen=True, kw_only=True)
class BeforeStep(HeldoutStep):
    """Accuracy, length and parsable share of the base model.

    Source: ours. Oracle: tests/recipes/test_improve.py::test_the_result
    """

    name: str = BEFORE
    model: str = "base"

    @classmethod
    def configured(cls, settings: ImproveSettings) -> "BeforeStep":
        """The step of a job with these settings."""
        return cls(
            max_new_tokens=settings.measure.max_new_tokens,
            precision=settings.precision,
            seed=settings.seed,
        )

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """The accuracy before, and the first row of the controls."""
        found = self.measured("before", given)
        claim = self.claim("accuracy before", found.accuracy, given, done)
        row = control_row("base model", found.accuracy, given[self.name])
        return (
            *super().tell(done, given),
            Told(numbers={"before": measured_numbers(found)}, claims=[claim]),
            Told(section="controls", blocks=[row]),
        )
