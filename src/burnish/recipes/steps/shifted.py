"""`shifted`: the control that asks both models tasks unlike those that were trained on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from burnish.base.meter import Meter
from burnish.base.records import read_records, write_records
from burnish.base.rng import stream
from burnish.base.stages import Stage, StageResult
from burnish.contracts.page import Table, Text
from burnish.contracts.record import Claim, Record
from burnish.contracts.step import Cost, Told
from burnish.contracts.task import Task
from burnish.jobs.step import Given, Step, Verification
from burnish.recipes.answering import ANSWERS, DECODING, Ask, greedy_asks
from burnish.recipes.measuring import measure_answers, measure_gain
from burnish.recipes.settings import ImproveSettings, ShiftSettings
from burnish.recipes.shifting import draw_shifted, shifted_specs
from burnish.recipes.steps import improve_steps
from burnish.recipes.steps.answers import MeasuredStep
from burnish.recipes.steps.measure import answers_cost
from burnish.recipes.steps.two_sided import TwoSided

SHIFT_FILES = "shift-files"
SHIFTED = "shifted-tasks"
TASKS = "shifted.jsonl"
SPLITS = ("train", "dev", "heldout")
TITLE = "Tasks unlike those trained on"
UNKNOWN = (
    "No harder form of these tasks is known, so the gain was measured on tasks like those trained "
    "on only. Name others as --set shift.tasks=[SPEC]."
)


@dataclass(frozen=True, kw_only=True)
class ShiftedTasksStep(Step):
    """Draws the tasks; none stands in a split.

    Source: ours. Oracle: tests/recipes/test_shifting.py::test_known_tasks_are_left_out
    """

    specs: tuple[str, ...]
    num: int
    seed: int
    name: str = SHIFTED
    verified: Verification = "again"

    @property
    def reads(self) -> tuple[str, ...]:
        """The splits, and the files that the sources name."""
        return (*SPLITS, SHIFT_FILES)

    @property
    def writes(self) -> Mapping[str, str]:
        """The tasks."""
        return {SHIFTED: TASKS}

    def cost(self, num_items: Mapping[str, int]) -> Cost:
        """How many there are."""
        return Cost(num_items={SHIFTED: self.num})

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Write the tasks."""
        known = [task for name in SPLITS for task in given[name]]
        found = draw_shifted(self.specs, known, self.num, seed=self.seed)
        write_records(stage.path / TASKS, [asdict(task) for task in found])
        return {"num_tasks": len(found)}

    def open(self, name: str, done: StageResult, given: Given) -> tuple[Task, ...]:
        """The tasks."""
        return tuple(Task(**row) for row in read_records(done.path / TASKS))


@dataclass(frozen=True, kw_only=True)
class ShiftedAnswers(MeasuredStep):
    """Greedy answers of one model."""

    max_new_tokens: int

    @property
    def tasks(self) -> tuple[str, ...]:
        """The shifted tasks."""
        return (SHIFTED,)

    def asks(self, given: Given) -> list[Ask]:
        """One greedy answer to each."""
        return greedy_asks(given[SHIFTED], self.max_new_tokens)

    def cost(self, num_items: Mapping[str, int]) -> Cost:
        """One answer to each task."""
        return answers_cost(num_items[SHIFTED], num_items)


@improve_steps.register("shifted")
@dataclass(frozen=True, kw_only=True)
class Shifted(TwoSided):
    """The gain on tasks of other lengths; it decides nothing.

    Source: ours. Oracle: tests/recipes/test_shifting.py::test_both_models_answer_shifted_tasks
    """

    shift: ShiftSettings
    specs: tuple[str, ...]
    max_new_tokens: int
    name: str = "shifted"

    @classmethod
    def configured(cls, settings: ImproveSettings) -> "Shifted":
        """The control of a job with these settings."""
        shift = settings.shift
        return cls(
            shift=shift,
            specs=shifted_specs(settings.tasks, shift.tasks, shift.num),
            max_new_tokens=settings.measure.max_new_tokens,
            seed=settings.seed,
            precision=settings.precision,
        )

    @property
    def is_on(self) -> bool:
        """Whether there are tasks."""
        return bool(self.shift.num and self.specs)

    @property
    def reads(self) -> tuple[str, ...]:
        """Both models, the splits, the files, and how to decode."""
        return (*super().reads, *SPLITS, SHIFT_FILES, DECODING)

    def planned(self) -> Sequence[Step]:
        """The tasks, then one set of answers a side."""
        drawn = ShiftedTasksStep(specs=self.specs, num=self.shift.num, seed=self.seed)
        return [drawn, *super().planned()] if self.is_on else []

    def side(self, name: str, model: str) -> Step:
        """The answers of a model."""
        given = {"max_new_tokens": self.max_new_tokens, "precision": self.precision}
        return ShiftedAnswers(name=name, model=model, **given)

    def tell(self, look: Callable[[str], Any]) -> Sequence[Told]:
        """As usual; and where tasks should be shifted but cannot be, that."""
        if self.shift.num and not self.specs:
            return (Told(section="controls", blocks=[Text(title=TITLE, text=UNKNOWN)]),)
        return super().tell(look)

    def compare(self, before: Sequence[Record], after: Sequence[Record]) -> Sequence[Told]:
        """Accuracy on both sides, and the gain with its interval."""
        sides = {
            name: measure_answers(one, stream(self.seed, "shifted", name)).accuracy
            for name, one in (("before", before), ("after", after))
        }
        gain = measure_gain(before, after, stream(self.seed, "shifted", "gain")).accuracy
        rows = [
            [name, one.value, one.low, one.high, one.n]
            for name, one in {**sides, "gain": gain}.items()
        ]
        says = "no evidence of a gain on these tasks"
        if gain.low > 0 or gain.high < 0:
            says = "the gain holds there" if gain.low > 0 else "the model became worse there"
        table = Table(
            title=TITLE,
            columns=["model", "accuracy", "low", "high", "n"],
            rows=rows,
            caption=f"{', '.join(self.specs)}: {says}. Paired 95% intervals.",
        )
        numbers = {name: one.to_dict() for name, one in {**sides, "gain": gain}.items()}
        claim = Claim(
            claim="gain on shifted tasks",
            **gain.to_dict(),
            tokens=sum(record.tokens for record in after),
            artefact=f"stages/{self.name}-after/{ANSWERS}",
        )
        told = {"controls": {"shifted": {"tasks": list(self.specs), **numbers}}}
        return (Told(section="controls", numbers=told, claims=[claim], blocks=[table]),)
