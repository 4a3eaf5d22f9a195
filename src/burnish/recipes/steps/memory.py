"""`memory`: what the model remembers, before and after, and the gate "not more forgetful"."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from burnish.base.meter import Meter
from burnish.base.stages import Stage, StageResult
from burnish.contracts.step import Told
from burnish.jobs.step import Given, Step, Verification
from burnish.recall.settings import MemorySettings
from burnish.recipes.remembering import (
    memory_change,
    memory_chart,
    not_more_forgetful,
    remember,
    unmeasured_lengths,
)
from burnish.recipes.settings import ImproveSettings
from burnish.recipes.steps import improve_steps
from burnish.recipes.steps.two_sided import TwoSided


@dataclass(frozen=True, kw_only=True)
class CurveStep(Step):
    """The forgetting curve of one model."""

    name: str
    model: str
    memory: MemorySettings
    seed: int
    precision: str
    verified: Verification = "again"

    @property
    def reads(self) -> tuple[str, ...]:
        """The model."""
        return (self.model,)

    @property
    def writes(self) -> Mapping[str, str]:
        """The curve, under the step's own name."""
        return {self.name: ""}

    def open(self, name: str, done: StageResult, given: Given) -> Mapping[str, Any]:
        """The curve."""
        return done.output["curve"]

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Measure; interrupted, it resumes with the rows that it has."""
        return remember(stage, given[self.model], self.memory, meter, seed=self.seed)

    def key_of(self, name: str, done: StageResult) -> str:
        """The key of its stage."""
        return done.key


@improve_steps.register("memory")
@dataclass(frozen=True, kw_only=True)
class Memory(TwoSided):
    """Both curves on the same texts; `trials=0` leaves memory unmeasured.

    Source: Forgetting Curve, arXiv 2410.04727.
    Oracle: tests/recipes/test_remembering.py::test_a_model_is_as_forgetful_as_itself
    """

    memory: MemorySettings
    name: str = "memory"

    @classmethod
    def configured(cls, settings: ImproveSettings) -> "Memory":
        """The part of a job with these settings."""
        return cls(memory=settings.memory, seed=settings.seed, precision=settings.precision)

    @property
    def is_on(self) -> bool:
        """Whether there are trials."""
        return self.memory.trials > 0

    def side(self, name: str, model: str) -> Step:
        """The curve of a model."""
        told = {"memory": self.memory, "seed": self.seed, "precision": self.precision}
        return CurveStep(name=name, model=model, **told)

    def compare(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Sequence[Told]:
        """The gate, and both curves as a chart."""
        change = memory_change(before, after, seed=self.seed)
        gate = not_more_forgetful(
            change, margin=self.memory.margin, unmeasured=unmeasured_lengths(before, after)
        )
        return (Told(section="memory", gates=[gate], blocks=[memory_chart(before, after)]),)
