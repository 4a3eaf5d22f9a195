"""Let a model answer tasks, judge the answers, and keep every finished one."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from burnish.base.items import ItemLog
from burnish.base.meter import Meter
from burnish.base.progress import say
from burnish.base.records import RecordLog
from burnish.base.rng import derive_seed
from burnish.base.stages import Stage
from burnish.contracts.generation import Completion, Request, Sampling
from burnish.contracts.record import Record
from burnish.contracts.task import Task
from burnish.data.checkers import judge
from burnish.data.demonstrations import Layout, lay_out
from burnish.draft.choice import Choice
from burnish.engine.answers import Answering, Generate, Prompt, answer_rows
from burnish.engine.generate import generate
from burnish.models.handle import ModelHandle
from burnish.models.load import Model
from burnish.recipes.drafting import Drafting

ANSWERS = "answers.jsonl"
DECODING = "decoding"  # how answers are decoded: a value of jobs, and the kind of its event
SERVER = {"choice": "server", "reason": "a server decides how it decodes", "plan": None}


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One answer that is wanted of a task: `name` is unique in its stage.

    `demonstrations` are solved (question, answer) pairs, shown before the task in this `layout`.
    """

    task: Task
    name: str
    sampling: Sampling
    demonstrations: tuple[tuple[str, str], ...] = ()
    layout: Layout = "turns"


def greedy_asks(tasks: Sequence[Task], max_new_tokens: int) -> list[Ask]:
    """One greedy answer to each task."""
    sampling = Sampling(max_new_tokens=max_new_tokens)
    return [Ask(task=task, name=task.id, sampling=sampling) for task in tasks]


def sampled_asks(
    tasks: Sequence[Task], indices: Sequence[int], *, seed: int, **sampling: Any
) -> list[Ask]:
    """Samples number `indices` of each task; a sample's seed depends on its task and number."""
    return [
        Ask(
            task=task,
            name=f"{task.id}/{index}",
            sampling=Sampling(seed=derive_seed(seed, task.id, index), **sampling),
        )
        for task in tasks
        for index in indices
    ]


def answer(
    stage: Stage,
    actor: ModelHandle,
    asks: Sequence[Ask],
    *,
    batch_size: int,
    meter: Meter,
    drafting: Drafting | None = None,
    kv: str = "",
) -> list[Record]:
    """Answer and judge what is not answered yet; every finished answer is on disk at once.

    With `drafting` the texts may be decoded with drafts; how, and why, is noted as an event.
    Without it, `kv` may name a policy that bounds what is kept of a text.
    The noise of a sample depends on its own seed only, so a resumed stage ends with the answers
    of an undisturbed one. Records come back in the order of the asks.
    Source: ours. Oracle: tests/recipes/test_answering.py::test_resumed_equals_straight
    """
    by_name = {ask.name: ask for ask in asks}
    log = ItemLog(stage.path / ANSWERS)
    if log.done:
        stage.event("answers_resumed", num_done=len(log.done), num_asked=len(asks))
    if drafting is not None and actor.is_server and len(log.done) < len(asks):
        stage.event(DECODING, **SERVER)
    rows = answer_rows(
        actor,
        [_to_prompt(ask) for ask in asks],
        lambda done: asdict(_record(by_name[done.id], done, actor.short_key)),
        log=log,
        meter=meter,
        how=Answering(
            batch_size=batch_size,
            generate=partial(generate, kv=kv or None)
            if drafting is None
            else _drafted(stage, actor, drafting),
            label=stage.name,
        ),
    )
    return [Record(**row) for row in rows]


def _to_prompt(ask: Ask) -> Prompt:
    content = lay_out(ask.layout, ask.task.prompt, ask.demonstrations)
    return Prompt(id=ask.name, content=content, sampling=ask.sampling)


def _drafted(stage: Stage, actor: ModelHandle, drafting: Drafting) -> Generate:
    """Decodes as `drafting` chooses; noted in the run, and said where drafts are used."""

    def decode(
        model: Model, requests: Sequence[Request], *, batch_size: int, **given: Any
    ) -> list[Completion]:
        choice: Choice = drafting.choose(
            actor,
            num_texts=len(requests),
            new_tokens=max(request.sampling.max_new_tokens for request in requests),
            batch_size=batch_size,
        )
        stage.event(DECODING, **choice.to_dict())
        if choice.ready is not None:
            say(f"{stage.name}: {choice.reason}")
        return choice.generate(model, requests, batch_size=batch_size, **given)

    return decode


def read_answers(folder: Path) -> dict[str, Record]:
    """Records of a finished stage, by their names."""
    return {row["id"]: Record(**row) for row in RecordLog(folder / ANSWERS).peek()}


def _record(ask: Ask, completion: Completion, model_key: str) -> Record:
    judgement = judge(completion.text, ask.task)
    return Record(
        id=ask.name,
        task_id=ask.task.id,
        group=ask.task.group,
        prompt=ask.task.prompt,
        answer=completion.text,
        tokens=len(completion.tokens),
        finish=completion.finish,
        verdict=str(judgement.verdict),
        extracted=judgement.extracted,
        provenance={"model": model_key, "seed": ask.sampling.seed},
    )
