"""Let a model answer tasks, judge the answers, and keep every finished one."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from burnish.base.meter import Meter
from burnish.base.progress import say, track
from burnish.base.records import RecordLog
from burnish.base.rng import derive_seed
from burnish.base.runs import RunRecord
from burnish.base.stages import Stage
from burnish.base.team import TeamRun
from burnish.contracts.generation import Completion, Request, Sampling
from burnish.contracts.record import Record
from burnish.contracts.task import Task
from burnish.data.checkers import judge
from burnish.draft.choice import Choice
from burnish.engine.generate import generate
from burnish.recipes.actor import Actor
from burnish.recipes.drafting import Drafting

ANSWERS = "answers.jsonl"
DECODING = "decoding"  # the kind of event that says how answers were decoded


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One answer that is wanted of a task: `name` is unique in its stage."""

    task: Task
    name: str
    sampling: Sampling
    demonstrations: tuple[tuple[str, str], ...] = ()


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
    actor: Actor,
    asks: Sequence[Ask],
    *,
    batch_size: int,
    meter: Meter,
    drafting: Drafting | None = None,
) -> list[Record]:
    """Answer and judge what is not answered yet; every finished answer is on disk at once.

    With `drafting` the texts may be decoded with drafts; how, and why, is noted as an event.
    The noise of a sample depends on its own seed only, so going on after a kill gives the same
    answers as an undisturbed stage. Records come back in the order of the asks.
    Source: ours. Oracle: tests/recipes/test_answering.py::test_resumed_equals_straight
    """
    by_name = {ask.name: ask for ask in asks}
    with RecordLog(stage.path / ANSWERS) as log, track(len(asks), stage.name, "answer") as bar:
        done = {row["id"]: Record(**row) for row in log.read()}
        if done:
            stage.event("answers_resumed", num_done=len(done), num_asked=len(asks))
            bar.note(f"{stage.name}: {len(done)} of {len(asks)} answers were there already")
        bar.advance(len(done))

        def keep(completion: Completion) -> None:
            record = _record(by_name[completion.id], completion, actor.key)
            log.append(asdict(record))
            done[record.id] = record
            bar.advance(1)

        missing = [ask for ask in asks if ask.name not in done]
        requests = [actor.request(a.task, a.name, a.sampling, a.demonstrations) for a in missing]
        if requests:
            given = {"batch_size": batch_size, "meter": meter, "on_done": keep}
            if drafting is None:
                generate(actor.model, requests, **given)
            else:
                _choose(stage, actor, requests, drafting, batch_size).generate(
                    actor.model, requests, **given
                )
    return [done[ask.name] for ask in asks]


def _choose(
    stage: Stage, actor: Actor, requests: Sequence[Request], drafting: Drafting, batch_size: int
) -> Choice:
    """How to decode the requests; noted in the run, and said where drafts are used."""
    choice = drafting.choose(
        actor,
        num_texts=len(requests),
        new_tokens=max(request.sampling.max_new_tokens for request in requests),
        batch_size=batch_size,
    )
    stage.event(DECODING, **choice.to_dict())
    if choice.ready is not None:
        say(f"{stage.name}: {choice.reason}")
    return choice


def decodings(run: TeamRun) -> dict[str, dict[str, Any]]:
    """The last event of each stage of a run that says how its answers were decoded."""
    events = RunRecord(path=run.path, info=run.info).events()
    return {event["stage"]: event for event in events if event["kind"] == DECODING}


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
        provenance={"model": model_key[:16], "seed": ask.sampling.seed},
    )
