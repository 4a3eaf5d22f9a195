"""`dev`: the newest model answers the development tasks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from burnish.contracts.step import Cost
from burnish.jobs.step import Given, Step
from burnish.recipes.answering import Ask, greedy_asks
from burnish.recipes.settings import ImproveSettings
from burnish.recipes.steps import round_steps
from burnish.recipes.steps.answers import AnswerStep
from burnish.recipes.steps.measure import answers_cost
from burnish.recipes.steps.rounds import Roles


@round_steps.register("dev")
@dataclass(frozen=True, kw_only=True)
class DevStep(AnswerStep):
    """Greedy answers by which rounds are chosen.

    Source: ours. Oracle: tests/recipes/test_improve.py::test_rounds_end_on_development_tasks
    """

    max_new_tokens: int

    @classmethod
    def in_round(cls, settings: ImproveSettings, roles: Roles) -> Sequence[Step]:
        """The step of a round; round 0 is the base model."""
        roles.dev = f"dev-{roles.number}"
        step = cls(
            name=roles.dev,
            model=roles.trained,
            precision=settings.precision,
            max_new_tokens=settings.measure.max_new_tokens,
        )
        return (step,)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The development tasks."""
        return ("dev",)

    def asks(self, given: Given) -> list[Ask]:
        """One greedy answer to each."""
        return greedy_asks(given["dev"], self.max_new_tokens)

    def cost(self, num_items: Mapping[str, int]) -> Cost:
        """One answer to each task."""
        return answers_cost(num_items["dev"], num_items)
