"""`sample`: several answers to each training task, and more to those without a right one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from burnish.contracts.step import Cost
from burnish.contracts.task import Verdict
from burnish.jobs.step import Given, Step
from burnish.models.handle import ModelHandle
from burnish.recipes import controls
from burnish.recipes.answering import Ask, sampled_asks
from burnish.recipes.settings import ImproveSettings, SampleSettings
from burnish.recipes.steps import round_steps
from burnish.recipes.steps.answers import AnswerStep
from burnish.recipes.steps.measure import answers_cost
from burnish.recipes.steps.rounds import Roles

SAMPLER = "sampler"  # the value that holds the model of `sample.model`


@round_steps.register("sample")
@dataclass(frozen=True, kw_only=True)
class SampleStep(AnswerStep):
    """The actor answers training tasks, or the model `sample.model` in its place.

    `first` names the answers that tell which tasks are hard.
    Source: ours. Oracle: tests/recipes/test_improve.py::test_hard_tasks_get_more_samples
    """

    sample: SampleSettings
    seed: int
    first: str = ""
    drafted: bool = True

    @classmethod
    def in_round(cls, settings: ImproveSettings, roles: Roles) -> Sequence[Step]:
        """First the same number for all tasks, then more for the hard ones."""
        name = f"sample-{roles.number}"
        base = cls(
            name=name,
            model=SAMPLER if settings.sample.model else roles.actor,
            precision=settings.precision,
            sample=settings.sample,
            seed=settings.seed + roles.number,
        )
        hard = cls(**{**vars(base), "name": f"{name}-hard", "first": name})
        roles.sampled = (*roles.sampled, base.name, hard.name)
        roles.pool = (*roles.pool, base.name, hard.name)
        return (base, hard)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The training tasks, and the first answers where they tell which are hard."""
        return ("train", self.first) if self.first else ("train",)

    def asks(self, given: Given) -> list[Ask]:
        """Samples by number; a task's extra samples continue the numbers of its first ones."""
        tasks, sampling = given["train"], controls.sampling_of(self.sample)
        if not self.first:
            return sampled_asks(tasks, range(self.sample.num_samples), seed=self.seed, **sampling)
        solved = {r.task_id for r in given[self.first] if r.verdict == Verdict.RIGHT}
        hard = [task for task in tasks if task.id not in solved]
        start = self.sample.num_samples
        extra = range(start, start + self.sample.num_extra)
        return sampled_asks(hard, extra, seed=self.seed, **sampling)

    def cost(self, num_items: Mapping[str, int]) -> Cost:
        """At most: the extra samples as if every task were hard; a server's cost nothing here."""
        num = num_items["train"] * (
            self.sample.num_extra if self.first else self.sample.num_samples
        )
        here = not ModelHandle(self.sample.model).is_server
        taken = answers_cost(num, num_items, num_prompts=num_items["train"]) if here else Cost()
        total = num_items.get("sampled", 0) + num
        return Cost(**{**vars(taken), "num_items": {self.name: num, "sampled": total}})
