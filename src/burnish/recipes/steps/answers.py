"""What every step has in common that lets a model answer tasks."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from burnish.base.meter import Meter
from burnish.base.records import RecordLog
from burnish.base.stages import Stage, StageResult
from burnish.base.stats import Estimate
from burnish.contracts.record import Claim, Record
from burnish.contracts.step import Told
from burnish.data.checkers import judge
from burnish.jobs.step import Given, Step, Verification
from burnish.recipes.answering import ANSWERS, DECODING, Ask, answer, read_answers
from burnish.recipes.drafting import Drafting

Answered = Callable[[Sequence[Ask]], list[Record]]


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How answers are decoded: what changes their speed, and never a text."""

    batch_size: int
    drafting: Drafting


@dataclass(frozen=True, kw_only=True)
class AnswerStep(Step):
    """A model answers tasks; every answer is judged and on disk as soon as it is there.

    `model` names the value that holds the model. Interrupted, the step resumes with the answers
    that it has.
    Source: ours. Oracle: tests/recipes/test_improve.py::test_killed_and_resumed_equals_straight
    """

    name: str
    model: str
    precision: str
    drafted: bool = False

    @property
    @abstractmethod
    def tasks(self) -> tuple[str, ...]:
        """Names of the values that `asks` is made from."""

    @abstractmethod
    def asks(self, given: Given) -> list[Ask]:
        """What is asked, in the order of the records."""

    def asked(self, rows: Mapping[str, Record], given: Given) -> list[Ask]:
        """What was asked, by the answers, in the order of the records."""
        return self.asks(given)

    def answers(self, answered: Answered, given: Given) -> list[Record]:
        """The records; `answered` answers and judges what is asked and not answered yet."""
        return answered(self.asks(given))

    @property
    def policy(self) -> str:
        """What bounds the memory of a text, as `--kv` takes it; "" keeps all."""
        return ""

    @property
    def reads(self) -> tuple[str, ...]:
        """The model, what the questions are made from, and how to decode."""
        return (self.model, *self.tasks, DECODING)

    @property
    def writes(self) -> Mapping[str, str]:
        """The records, under the step's own name."""
        return {self.name: ANSWERS}

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Answer and judge what is not answered yet."""
        drafting: dict[str, Any] = {}

        def record(kind: str, /, **fields: Any) -> None:
            if kind == DECODING:
                drafting.update({name: fields[name] for name in ("choice", "reason", "plan")})
            stage.record(kind, **fields)

        def answered(asks: Sequence[Ask]) -> list[Record]:
            return answer(
                replace(stage, record=record),
                given[self.model],
                asks,
                batch_size=given[DECODING].batch_size,
                meter=meter,
                drafting=given[DECODING].drafting if self.drafted else None,
                kv=self.policy,
            )

        records = self.answers(answered, given)
        counts = {"num_answers": len(records), "tokens": sum(r.tokens for r in records)}
        return counts | {"decoding": drafting or None}

    def open(self, name: str, done: StageResult, given: Given) -> list[Record]:
        """The records in the order of the questions."""
        rows = read_answers(done.path)
        return [rows[ask.name] for ask in self.asked(rows, given)]

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """How the answers were decoded, where that was chosen."""
        drafting = done.output.get("decoding")
        if drafting is None:
            return ()
        return (Told(section="notes", numbers={"cost": {"drafting": {self.name: drafting}}}),)

    def recheck(self, done: StageResult, given: Given) -> str:
        """Judge every answer again: a verdict must follow from its answer."""
        rows = read_answers(done.path)
        asks = {ask.name: ask for ask in self.asked(rows, given)}
        if asks.keys() != rows.keys():
            return f"{len(asks.keys() ^ rows.keys())} answers are missing or were not asked for"
        judged = {name: judge(rows[name].answer, ask.task) for name, ask in asks.items()}
        wrong = [
            name
            for name, one in judged.items()
            if (one.verdict, one.extracted) != (rows[name].verdict, rows[name].extracted)
        ]
        return (
            f"{len(wrong)} of {len(rows)} verdicts do not follow from the answers" if wrong else ""
        )

    def differences(self, old: StageResult, new: StageResult) -> str:
        """Answers or verdicts that differ; how they were decoded does not count."""
        before, after = ({row["id"]: row for row in RecordLog(done.path / ANSWERS).peek()}
                         for done in (old, new))  # fmt: skip
        keys = before.keys() | after.keys()
        changed = [key for key in keys if before.get(key) != after.get(key)]
        return f"{len(changed)} of {len(before)} answers differ" if changed else ""

    def claim(self, name: str, estimate: Estimate, given: Given, done: StageResult) -> Claim:
        """A row of the ledger that rests on this step's answers."""
        return Claim(
            claim=name,
            **estimate.to_dict(),
            tokens=sum(record.tokens for record in given[self.name]),
            seconds=done.seconds,
            artefact=f"stages/{self.name}/{ANSWERS}",
        )


@dataclass(frozen=True, kw_only=True)
class MeasuredStep(AnswerStep):
    """Answers that a claim rests on: `burnish verify` lets the model write them again."""

    verified: Verification = "again"
