"""`general`: what the model can do besides the tasks, before and after, and its two gates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from burnish.base.meter import Meter
from burnish.base.records import read_records, write_records
from burnish.base.stages import Stage, StageResult
from burnish.contracts.step import Cost, Told
from burnish.data.cloze import FAMILIES
from burnish.jobs.step import Given, Step, Verification
from burnish.recipes.generality import (
    general_changes,
    general_gates,
    general_table,
    measure_general,
)
from burnish.recipes.settings import GeneralSettings, ImproveSettings
from burnish.recipes.steps import improve_steps
from burnish.recipes.steps.two_sided import TwoSided

ROWS = "rows.jsonl"
QUESTION_TOKENS = 30  # guessed, with its ends


@dataclass(frozen=True, kw_only=True)
class GeneralStep(Step):
    """Losses and answers of one model."""

    name: str
    model: str
    general: GeneralSettings
    seed: int
    precision: str
    verified: Verification = "again"

    @property
    def reads(self) -> tuple[str, ...]:
        """The model."""
        return (self.model,)

    @property
    def writes(self) -> Mapping[str, str]:
        """The rows, under the step's own name."""
        return {self.name: ROWS}

    def open(self, name: str, done: StageResult, given: Given) -> Sequence[Mapping[str, Any]]:
        """The rows."""
        return list(read_records(done.path / ROWS))

    def cost(self, num_items: Mapping[str, int]) -> Cost:
        """Every text and question is read once."""
        texts = self.general.num_texts * len(self.general.corpora) * self.general.text_tokens
        questions = self.general.num_questions * len(FAMILIES) * QUESTION_TOKENS
        return Cost(prefilled_tokens=texts + questions)

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Measure."""
        rows = measure_general(given[self.model].model, self.general, meter, seed=self.seed)
        write_records(stage.path / ROWS, rows)
        return {"num_rows": len(rows)}


@improve_steps.register("general")
@dataclass(frozen=True, kw_only=True)
class General(TwoSided):
    """Both models on the same texts and questions; `num_texts=0` leaves them unmeasured.

    Source: ours. Oracle: tests/recipes/test_generality.py::test_a_model_is_as_able_as_itself
    """

    general: GeneralSettings
    name: str = "general"

    @classmethod
    def configured(cls, settings: ImproveSettings) -> "General":
        """The part of a job with these settings."""
        return cls(general=settings.general, seed=settings.seed, precision=settings.precision)

    @property
    def is_on(self) -> bool:
        """Whether there are texts."""
        return self.general.num_texts > 0

    def side(self, name: str, model: str) -> Step:
        """Losses and answers of a model."""
        told = {"general": self.general, "seed": self.seed, "precision": self.precision}
        return GeneralStep(name=name, model=model, **told)

    def compare(
        self, before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
    ) -> Sequence[Told]:
        """The two gates, and a table of both sides."""
        changes = general_changes(before, after, seed=self.seed)
        numbers = {"general": {part: one.to_dict() for part, one in changes.items()}}
        gates = general_gates(changes, self.general)
        table = general_table(before, after)
        return (Told(section="memory", numbers=numbers, gates=gates, blocks=[table]),)
