"""`prefer`: align the model just taught with right over wrong answers to the same task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from burnish.base.meter import Meter
from burnish.base.stages import Stage, StageResult
from burnish.contracts.page import Table
from burnish.contracts.step import Cost, Told
from burnish.jobs.step import Given, Step
from burnish.prefer.settings import PreferSettings
from burnish.recipes.preferring import prefer, stage_settings
from burnish.recipes.settings import ImproveSettings
from burnish.recipes.steps import round_steps
from burnish.recipes.steps.measure import text_tokens
from burnish.recipes.steps.rounds import Roles
from burnish.recipes.steps.teach import TrainedStep


@round_steps.register("prefer")
@dataclass(frozen=True, kw_only=True)
class PreferStep(TrainedStep):
    """Preference alignment as a step of a round; left out where no loss is set.

    Source: LD-DPO, arXiv 2409.06411, for the loss `ld-dpo`.
    Oracle: tests/recipes/test_preferring.py::test_the_stage_saves_a_model
    """

    taught: str
    pool: tuple[str, ...]
    prefer: PreferSettings

    @classmethod
    def in_round(cls, settings: ImproveSettings, roles: Roles) -> Sequence[Step]:
        """The step of a round, or none."""
        if not settings.prefer.loss:
            return ()
        step = cls(
            name=f"prefer-{roles.number}",
            taught=roles.trained,
            pool=roles.pool,
            prefer=stage_settings(settings.prefer, seed=settings.seed),
            precision=settings.precision,
        )
        roles.trained, roles.learned = step.name, (*roles.learned, *roles.pool)
        return (step,)

    @property
    def reads(self) -> tuple[str, ...]:
        """The model that was taught, and the answers of all rounds."""
        return (self.taught, *self.pool)

    def cost(self, num_items: Mapping[str, int]) -> Cost:
        """A pair has two answers and is read by the reference, too."""
        length = 2 * text_tokens(num_items)
        tokens = num_items["train"] * length * self.prefer.train.epochs // 2
        return Cost(trained_tokens=tokens, disk_bytes=num_items["params"] * 4)

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Align, and save the model."""
        pool = [record for name in self.pool for record in given[name]]
        return prefer(stage, given[self.taught], pool, self.prefer, meter)

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """How many pairs there were, and what alignment did to margins and lengths."""
        found = done.output
        accuracy = found["margins"]["accuracy"]
        names = ("num_pairs", "num_steps", "losses", "margins", "lengths", "num_problems")
        numbers = {"stage": self.name, "loss": found["loss"], **{n: found[n] for n in names}}
        share = None if accuracy is None else accuracy["value"]
        row = [self.name, found["loss"]["name"], found["num_pairs"], found["num_steps"], share]
        table = Table(
            title="Preferences",
            columns=["stage", "loss", "pairs", "steps", "held-out pairs ranked right"],
            rows=[row],
            caption="Right over wrong answers to the same training task.",
        )
        return (Told(section="training", numbers={"prefer": [numbers]}, blocks=[table]),)
