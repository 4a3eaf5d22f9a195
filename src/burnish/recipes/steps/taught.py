"""`taught`: the controls that train on reference answers, and on wrong ones for their form only."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from burnish.base.meter import Meter
from burnish.base.records import read_records, write_records
from burnish.base.rng import stream
from burnish.base.stages import Stage, StageResult
from burnish.base.stats import paired_difference
from burnish.contracts.page import Table, Text
from burnish.contracts.record import Record
from burnish.contracts.step import Cost, Told
from burnish.contracts.task import Verdict
from burnish.jobs.step import Composite, Given, Step, Verification
from burnish.recipes.answering import DECODING
from burnish.recipes.controls import WORKED
from burnish.recipes.measuring import measure_answers
from burnish.recipes.piloting import as_planned, plan_read
from burnish.recipes.settings import ImproveSettings
from burnish.recipes.steps import improve_steps
from burnish.recipes.steps.measure import HeldoutStep, control_row
from burnish.recipes.steps.rounds import LEARNED
from burnish.recipes.steps.select import RIGHT_FRAC
from burnish.recipes.steps.teach import TeachStep

Kind = Literal["reference", "wrong"]
KINDS: Mapping[Kind, str] = {
    "reference": "base model, trained on reference answers",
    "wrong": "base model, trained on its own wrong answers (form only)",
}
AFTER = "measure-after"
LESSONS = "lessons.jsonl"


@dataclass(frozen=True, kw_only=True)
class LessonsStep(Step):
    """As many answers as the improved model learned from, of another kind.

    `reference`: the training tasks' reference answers, with their work where it is known. `wrong`:
    distinct wrong answers of the model's own that ended by themselves.
    Source: ours. Oracle: tests/recipes/test_taught.py::test_lessons_by_hand
    """

    kind: Kind
    seed: int
    name: str
    verified: Verification = "again"

    @property
    def reads(self) -> tuple[str, ...]:
        """Training tasks, all samples, and what was learned from."""
        return ("train", "sampled", LEARNED)

    @property
    def writes(self) -> Mapping[str, str]:
        """The answers."""
        return {self.name: LESSONS}

    def cost(self, num_items: Mapping[str, int]) -> Cost:
        """About as many as are selected."""
        return Cost(num_items={self.name: int(num_items["train"] * RIGHT_FRAC)})

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Write the answers, drawn with the seed."""
        known = references(given["train"]) if self.kind == "reference" else wrong(given["sampled"])
        order = stream(self.seed, "lessons", self.kind).permutation(len(known))
        chosen = [known[place] for place in sorted(order[: len(given[LEARNED])])]
        write_records(stage.path / LESSONS, [asdict(one) for one in chosen])
        return {"num_lessons": len(chosen)}

    def open(self, name: str, done: StageResult, given: Given) -> list[Record]:
        """The answers."""
        return [Record(**row) for row in read_records(done.path / LESSONS)]


def references(tasks: Sequence[Any]) -> list[Record]:
    """The tasks' reference answers as records; tasks without one have none."""
    found = []
    for task in tasks:
        text = str(task.metadata.get(WORKED) or task.answer)
        given = {"id": f"{task.id}/reference", "task_id": task.id, "group": task.group}
        if text.strip():
            verdict = str(Verdict.RIGHT)
            found.append(
                Record(**given, prompt=task.prompt, answer=text, tokens=0, verdict=verdict)
            )
    return found


def wrong(sampled: Sequence[Record]) -> list[Record]:
    """Wrong answers that ended by themselves, each text once a task."""
    found = {
        (one.task_id, one.answer): one
        for one in sampled
        if one.verdict == Verdict.WRONG and one.finish == "eos"
    }
    return list(found.values())


@dataclass(frozen=True, kw_only=True)
class TaughtHeldoutStep(HeldoutStep):
    """Greedy answers of a control's model to the held-out tasks."""


@improve_steps.register("taught")
@dataclass(frozen=True, kw_only=True)
class Taught(Composite):
    """Each control's training is that of the job; left out unless `controls` is `full`.

    Source: ours; wrong answers as in arXiv 2202.12837, where form alone helps.
    Oracle: tests/recipes/test_taught.py::test_controls_are_trained_and_compared
    """

    settings: ImproveSettings
    name: str = "taught"

    @classmethod
    def configured(cls, settings: ImproveSettings) -> "Taught":
        """The controls of a job with these settings."""
        return cls(settings=settings)

    @property
    def reads(self) -> tuple[str, ...]:
        """The base model, tasks and samples, and the answers of the improved model."""
        if self.settings.controls != "full":
            return ()
        plan = plan_read(self.settings)
        return ("base", "train", "heldout", "sampled", LEARNED, DECODING, AFTER, *plan)

    def planned(self) -> Sequence[Step]:
        """Lessons, training and answers of each control."""
        if self.settings.controls != "full":
            return []
        return [step for kind in KINDS for step in (self._lessons(kind), *self._rest(kind))]

    def steps(self, look: Callable[[str], Any]) -> Iterator[Step]:
        """A control without anything to learn from is not trained."""
        if self.settings.controls != "full":
            return
        own = replace(self, settings=as_planned(self.settings, look))
        for kind in KINDS:
            lessons = self._lessons(kind)
            yield lessons
            if look(lessons.name):
                yield from own._rest(kind)

    def tell(self, look: Callable[[str], Any]) -> Sequence[Told]:
        """The controls' accuracies, and the improved model's less each."""
        if self.settings.controls != "full":
            return ()
        return [self._told(kind, look) for kind in KINDS]

    def _told(self, kind: Kind, look: Callable[[str], Any]) -> Told:
        if not look(self._lessons(kind).name):
            text = f"Not trained: there is nothing to learn from ({kind} answers)."
            return Told(section="controls", blocks=[Text(title=KINDS[kind], text=text)])
        seed, records = self.settings.seed, look(self._answers(kind).name)
        accuracy = measure_answers(records, stream(seed, "taught", kind)).accuracy
        sides = [
            [float(record.verdict == Verdict.RIGHT) for record in one]
            for one in (records, look(AFTER))
        ]
        less = paired_difference(*sides, rng=stream(seed, "taught", kind, "less"))
        numbers = {
            "accuracy": accuracy.to_dict(),
            "improved_less_this": less.to_dict(),
            "num_lessons": len(look(self._lessons(kind).name)),
        }
        table = Table(
            title="The improved model against trained controls",
            columns=["control", "answers learned", "improved less this", "low", "high"],
            rows=[[KINDS[kind], numbers["num_lessons"], less.value, less.low, less.high]],
            caption="As many answers as the improved model learned from; the same training.",
        )
        return Told(
            section="controls",
            numbers={"controls": {f"taught_{kind}": numbers}},
            blocks=[control_row(KINDS[kind], accuracy, records), table],
        )

    def _lessons(self, kind: Kind) -> LessonsStep:
        return LessonsStep(name=f"lessons-{kind}", kind=kind, seed=self.settings.seed)

    def _answers(self, kind: Kind) -> TaughtHeldoutStep:
        return TaughtHeldoutStep(
            name=f"control-{kind}",
            model=f"control-teach-{kind}",
            max_new_tokens=self.settings.measure.max_new_tokens,
            seed=self.settings.seed,
            precision=self.settings.precision,
        )

    def _rest(self, kind: Kind) -> Sequence[Step]:
        taught = TeachStep(
            name=f"control-teach-{kind}",
            selected=self._lessons(kind).name,
            train=self.settings.train,
            precision=self.settings.precision,
        )
        return (taught, self._answers(kind))
