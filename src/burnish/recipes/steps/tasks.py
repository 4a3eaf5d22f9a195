"""`tasks`: load the tasks, and split them into training, development and held-out tasks."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from burnish.base.meter import Meter
from burnish.base.records import read_records, write_records
from burnish.base.stages import Stage, StageResult
from burnish.contracts.step import Cost
from burnish.contracts.task import Task
from burnish.data.sources import load_tasks
from burnish.data.splits import check_disjoint, split_tasks
from burnish.jobs.step import Given, Step, Verification
from burnish.recipes.settings import ImproveSettings, SplitSettings
from burnish.recipes.steps import improve_steps

FILES = "task-files"
SPLITS = ("train", "dev", "heldout")


@improve_steps.register("tasks")
@dataclass(frozen=True, kw_only=True)
class TasksStep(Step):
    """The splits share no content; held-out tasks are answered once before and once after.

    Source: ours. Oracle: tests/data/test_splits.py::test_splits_are_disjoint_sized_and_stratified
    """

    specs: tuple[str, ...]
    split: SplitSettings
    seed: int
    name: str = "tasks"
    verified: Verification = "again"
    guards = ("measure-before", "sample-1")

    @classmethod
    def configured(cls, settings: ImproveSettings) -> "TasksStep":
        """The step of a job with these settings."""
        return cls(specs=settings.tasks, split=settings.split, seed=settings.seed)

    @property
    def reads(self) -> tuple[str, ...]:
        """The files that the sources name."""
        return (FILES,)

    @property
    def writes(self) -> Mapping[str, str]:
        """Each split is a file of the stage."""
        return {name: f"{name}.jsonl" for name in SPLITS}

    def cost(self, num_items: Mapping[str, int]) -> Cost:
        """The sizes of the splits."""
        return Cost(num_items=asdict(self.split))

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Write the splits."""
        pool = [task for spec in self.specs for task in load_tasks(spec, seed=self.seed)]
        splits = split_tasks(pool, **asdict(self.split), seed=self.seed)
        check_disjoint(splits)
        for name in SPLITS:
            rows = [asdict(task) for task in getattr(splits, name)]
            write_records(stage.path / f"{name}.jsonl", rows)
        return {"num_pool": len(pool), **asdict(self.split)}

    def open(self, name: str, done: StageResult, given: Given) -> tuple[Task, ...]:
        """The tasks of a split."""
        return tuple(Task(**row) for row in read_records(done.path / f"{name}.jsonl"))
