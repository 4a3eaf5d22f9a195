"""`stream`: where tasks carry documents, they are read whole in bounded memory, or cut."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from burnish.base.errors import ModelError
from burnish.base.meter import Meter
from burnish.base.records import read_records, write_records
from burnish.base.rng import stream
from burnish.base.stages import Stage, StageResult
from burnish.base.stats import paired_difference
from burnish.contracts.page import Table, Text
from burnish.contracts.step import Cost, Told
from burnish.contracts.task import Verdict
from burnish.engine.policies import bounded_policy
from burnish.jobs.step import Composite, Given, Step, Verification
from burnish.recipes.answering import DECODING, Ask, greedy_asks
from burnish.recipes.documents import cut_to, whole, with_documents
from burnish.recipes.settings import ImproveSettings, StreamStageSettings
from burnish.recipes.steps import improve_steps
from burnish.recipes.steps.measure import ANSWER_TOKENS, HeldoutStep
from burnish.recipes.steps.taken import TakenPart, taken_by

CUT = "stream-cut"
PROMPTS = "prompts.jsonl"
DOCUMENT_TOKENS = 4096  # guessed, of a document
Kind = Literal["cut", "whole"]
ARMS: Mapping[Kind, str] = {"cut": "stream-window", "whole": "stream-whole"}
TITLE = "Long documents"


@dataclass(frozen=True, kw_only=True)
class CutStep(Step):
    """Prompts with the document cut to the model's window; none where no policy can run.

    Source: as `cut_to`. Oracle: tests/recipes/test_documents.py::test_cut_documents_fill_the_window
    """

    stream: StreamStageSettings
    max_new_tokens: int
    name: str = CUT
    verified: Verification = "again"

    @property
    def reads(self) -> tuple[str, ...]:
        """The model, whose window it is, and the tasks."""
        return ("chosen", "heldout")

    @property
    def writes(self) -> Mapping[str, str]:
        """The prompts."""
        return {self.name: PROMPTS}

    def open(self, name: str, done: StageResult, given: Given) -> list[Mapping[str, Any]]:
        """The prompts."""
        return list(read_records(done.path / PROMPTS))

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Cut; a model without policies is told, and nothing is read."""
        model, why, rows = given["chosen"].model, "", list[dict[str, Any]]()
        try:
            bounded_policy(model, self.stream.kv)
        except ModelError as error:
            why = str(error)
        tasks = [] if why else with_documents(given["heldout"])[: self.stream.max_tasks]
        for task in tasks:
            most = model.max_position - self.max_new_tokens
            prompt, total, kept = cut_to(task, model.tokenizer, most)
            rows.append({"id": task.id, "prompt": prompt, "num_tokens": total, "num_kept": kept})
        write_records(stage.path / PROMPTS, rows)
        return {"num_tasks": len(tasks), "why": why}

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """Why nothing was read, if so."""
        why = done.output["why"]
        block = Text(title=TITLE, text=f"Not read: {why}")
        return (
            (Told(section="memory", numbers={"stream": {"why": why}}, blocks=[block]),)
            if why
            else ()
        )


@dataclass(frozen=True, kw_only=True)
class DocumentStep(TakenPart, HeldoutStep):
    """The chosen model answers questions about documents, cut to its window or whole.

    Source: Ltri-LLM, arXiv 2412.04757, for the policy `triangle-dp`.
    Oracle: tests/recipes/test_stream_step.py::test_documents_are_read_whole_in_bounded_memory
    """

    kind: Kind
    stream: StreamStageSettings
    model: str = "chosen"

    @property
    def tasks(self) -> tuple[str, ...]:
        """The held-out tasks, and the prompts that were cut."""
        return ("heldout", CUT)

    @property
    def policy(self) -> str:
        """What bounds memory while a document is read whole."""
        return self.stream.kv if self.kind == "whole" else ""

    def asks(self, given: Given) -> list[Ask]:
        """One greedy answer to each."""
        cut = {row["id"]: row["prompt"] for row in given[CUT]}
        tasks = [
            replace(task, prompt=cut[task.id] if self.kind == "cut" else whole(task))
            for task in given["heldout"]
            if task.id in cut
        ]
        return greedy_asks(tasks, self.max_new_tokens)

    def cost(self, num_items: Mapping[str, int]) -> Cost:
        """One answer to each; documents of a length that is guessed."""
        num = min(self.stream.max_tasks, num_items["heldout"])
        return Cost(generated_tokens=num * ANSWER_TOKENS, prefilled_tokens=num * DOCUMENT_TOKENS)

    @property
    def shows(self) -> tuple[str, ...]:
        """The answers to cut documents, which are compared with those to whole ones."""
        other = ARMS["cut"]
        return (other, taken_by(other)) if self.kind == "whole" else ()

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """What reading the whole adds: accuracy, tokens and seconds against cutting."""
        if self.kind == "cut":
            return super().tell(done, given)
        names = (ARMS["cut"], self.name)
        sides = [[float(one.verdict == Verdict.RIGHT) for one in given[name]] for name in names]
        added = paired_difference(*sides, rng=stream(self.seed, "stream"))
        taken = {kind: given[taken_by(name)] for kind, name in ARMS.items()}
        num_cut = sum(row["num_kept"] < row["num_tokens"] for row in given[CUT])
        arms = {
            kind: {"accuracy": sum(side) / len(side), "tokens": tokens}
            for (kind, (tokens, _)), side in zip(taken.items(), sides, strict=True)
        }
        numbers = {"kv": self.stream.kv, **arms, "added": added.to_dict(), "num_cut": num_cut}
        label = {"cut": "cut to the window", "whole": f"whole, {self.stream.kv}"}
        table = Table(
            title=TITLE,
            columns=["document", "right", "of", "tokens", "seconds"],
            rows=[[label[kind], int(sum(side)), len(side), *taken[kind]]
                  for kind, side in zip(ARMS, sides, strict=True)],
            caption=f"Whole less cut: {100 * added.value:.1f} points [{100 * added.low:.1f}, "
            f"{100 * added.high:.1f}]. {num_cut} of {len(sides[0])} documents did not fit. "
            "Tokens are those read and written by the improved model.",
        )  # fmt: skip
        claim = replace(
            self.claim("stream: accuracy above cutting to the window", added, given, done),
            tokens=taken["whole"][0],
        )
        told = Told(section="memory", numbers={"stream": numbers}, claims=[claim], blocks=[table])
        return (*super().tell(done, given), told)


@improve_steps.register("stream")
@dataclass(frozen=True, kw_only=True)
class Stream(Composite):
    """Documents read whole under a policy against documents cut; only for `documents:FILE`.

    Source: ours.
    Oracle: tests/recipes/test_stream_step.py::test_documents_are_read_whole_in_bounded_memory
    """

    settings: ImproveSettings
    name: str = "stream"

    @classmethod
    def configured(cls, settings: ImproveSettings) -> "Stream":
        """The part of a job with these settings."""
        return cls(settings=settings)

    @property
    def is_on(self) -> bool:
        """Whether there can be documents, and a policy is named."""
        return has_documents(self.settings) and bool(self.settings.stream.kv)

    @property
    def reads(self) -> tuple[str, ...]:
        """The chosen model and the tasks; nothing where it is off."""
        return ("chosen", "heldout", DECODING) if self.is_on else ()

    def planned(self) -> Sequence[Step]:
        """Cutting, then both arms."""
        return [self._cut(), *map(self._arm, ARMS)] if self.is_on else []

    def steps(self, look: Callable[[str], Any]) -> Iterator[Step]:
        """No answers where there are fewer than two documents that can be read."""
        if self.is_on and len(with_documents(look("heldout"))) > 1:
            yield self._cut()
            if look(CUT):
                yield from map(self._arm, ARMS)

    def _cut(self) -> CutStep:
        most = self.settings.measure.max_new_tokens
        return CutStep(stream=self.settings.stream, max_new_tokens=most)

    def _arm(self, kind: Kind) -> DocumentStep:
        return DocumentStep(
            name=ARMS[kind],
            kind=kind,
            stream=self.settings.stream,
            max_new_tokens=self.settings.measure.max_new_tokens,
            precision=self.settings.precision,
            seed=self.settings.seed,
        )


def has_documents(settings: ImproveSettings) -> bool:
    """Whether a source of tasks has documents."""
    return any(spec.startswith("documents:") for spec in settings.tasks)
