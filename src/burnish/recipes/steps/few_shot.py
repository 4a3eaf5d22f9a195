"""`few-shot`: the control that shows the base model examples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from burnish.base.rng import stream
from burnish.base.stages import StageResult
from burnish.contracts.step import Cost, Told
from burnish.jobs.step import Given
from burnish.recipes import controls
from burnish.recipes.answering import Ask
from burnish.recipes.settings import ImproveSettings
from burnish.recipes.steps import improve_steps
from burnish.recipes.steps.measure import (
    HeldoutStep,
    answers_cost,
    control_row,
    measured_numbers,
)


@improve_steps.register("few-shot")
@dataclass(frozen=True, kw_only=True)
class FewShotStep(HeldoutStep):
    """The base model with training tasks of the same group as demonstrations.

    Source: ours.
    Oracle: tests/recipes/test_controls.py::test_demonstrations_are_training_tasks_of_the_same_group
    """

    num_demonstrations: int
    name: str = "control-few-shot"
    model: str = "base"

    @classmethod
    def configured(cls, settings: ImproveSettings) -> "FewShotStep":
        """The step of a job with these settings."""
        return cls(
            max_new_tokens=settings.measure.max_new_tokens,
            num_demonstrations=settings.measure.num_demonstrations,
            precision=settings.precision,
            seed=settings.seed,
        )

    @property
    def tasks(self) -> tuple[str, ...]:
        """The held-out tasks, and the training tasks that are shown."""
        return ("heldout", "train")

    def asks(self, given: Given) -> list[Ask]:
        """The greedy questions with demonstrations before them."""
        rng = stream(self.seed, "few-shot")
        shown = controls.demonstrations(given["train"], self.num_demonstrations, rng)
        return controls.few_shot_asks(super().asks(given), shown)

    def cost(self, num_items: Mapping[str, int]) -> Cost:
        """One answer to each task; the demonstrations are shared and read once a group."""
        return answers_cost(num_items["heldout"])

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """The control's accuracy."""
        found = self.measured("few-shot", given)
        return (
            *super().tell(done, given),
            Told(
                section="controls",
                numbers={"controls": {"few_shot": measured_numbers(found)}},
                claims=[self.claim("accuracy few-shot", found.accuracy, given, done)],
                blocks=[control_row("base model, few-shot", found.accuracy, given[self.name])],
            ),
        )
