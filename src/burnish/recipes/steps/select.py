"""`select`: which right answers are learned from."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from burnish.base.meter import Meter
from burnish.base.records import read_records, write_records
from burnish.base.stages import Stage, StageResult
from burnish.contracts.record import Record
from burnish.contracts.step import Cost
from burnish.jobs.step import Given, Step, Verification
from burnish.recipes.selecting import select_right
from burnish.recipes.settings import ImproveSettings, SelectSettings
from burnish.recipes.steps import round_steps
from burnish.recipes.steps.rounds import Roles

SELECTED = "selected.jsonl"
RIGHT_FRAC = 0.25  # guessed, of what could be learned from


@round_steps.register("select")
@dataclass(frozen=True, kw_only=True)
class SelectStep(Step):
    """Right answers of all rounds so far: distinct ones, few per task.

    Source: as `select_right`.
    Oracle: tests/recipes/test_selecting.py::test_selection_by_brute_force
    """

    name: str
    pool: tuple[str, ...]
    select: SelectSettings
    verified: Verification = "again"

    @classmethod
    def in_round(cls, settings: ImproveSettings, roles: Roles) -> Sequence[Step]:
        """The step of a round."""
        roles.selected = f"select-{roles.number}"
        return (cls(name=roles.selected, pool=roles.pool, select=settings.select),)

    @property
    def reads(self) -> tuple[str, ...]:
        """The answers of all rounds."""
        return self.pool

    @property
    def writes(self) -> Mapping[str, str]:
        """The records that are learned from."""
        return {self.name: SELECTED}

    def cost(self, num_items: Mapping[str, int]) -> Cost:
        """How many are expected to be learned from."""
        num = int(num_items["train"] * self.select.max_per_task * RIGHT_FRAC)
        return Cost(num_items={self.name: num})

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Write the selected records; an empty selection is told by the step that learns."""
        pool = [record for name in self.pool for record in given[name]]
        selected = select_right(pool, self.select)
        write_records(stage.path / SELECTED, [asdict(record) for record in selected])
        return {"num_answers": len(pool), "num_selected": len(selected)}

    def open(self, name: str, done: StageResult, given: Given) -> list[Record]:
        """The selected records."""
        return [Record(**row) for row in read_records(done.path / SELECTED)]
