"""Answers survive an interruption, and are the same as without one."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from burnish.base.meter import Meter
from burnish.base.records import RecordLog
from burnish.base.stages import Stage
from burnish.contracts.generation import Sampling
from burnish.contracts.record import Record
from burnish.contracts.task import Task
from burnish.data.tasks import make_task
from burnish.models.handle import ModelHandle
from burnish.recipes import answering
from burnish.recipes.answering import Ask, answer, greedy_asks, read_answers, sampled_asks
from burnish.recipes.drafting import Drafting

Answer = Callable[..., list[Record]]


def stage_of(path: Path) -> Stage:
    path.mkdir(exist_ok=True)
    return Stage(name="sample", path=path, resumed=False, record=lambda kind, **named: None)


def tasks_of(num: int) -> list[Task]:
    return [make_task(f"what is {i}?", str(i), group="g") for i in range(num)]


@pytest.fixture
def actor(tiny_folder: Any) -> ModelHandle:
    return ModelHandle(str(tiny_folder("llama")), precision="fp32", device="cpu")


@pytest.fixture
def asks() -> list[Ask]:
    sampling = {"temperature": 1.0, "max_new_tokens": 9}
    return sampled_asks(tasks_of(5), range(3), seed=3, **sampling)


def interrupted_after(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    exact, rows = RecordLog.append, []

    def append(log: RecordLog, row: Any) -> None:
        exact(log, row)
        rows.append(row)
        if len(rows) == count:
            raise KeyboardInterrupt

    monkeypatch.setattr(RecordLog, "append", append)


def check_resumed(
    make: Answer,
    actor: ModelHandle,
    asks: Sequence[Ask],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Cut off after seven answers, with half a row behind them, then gone on in other batches."""
    straight = answer(stage_of(tmp_path / "a"), actor, asks, batch_size=4, meter=Meter())
    stage = stage_of(tmp_path / "b")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupted_after(patch, 7)
        answer(stage, actor, asks, batch_size=4, meter=Meter())
    log = stage.path / "answers.jsonl"
    with log.open("a") as file:
        file.write('{"id": "half')
    early = read_answers(stage.path)
    assert len(early) == 7
    meter = Meter()
    resumed = make(stage, actor, asks, batch_size=3, meter=meter)
    assert resumed == straight
    assert [record.id for record in resumed] == [ask.name for ask in asks]
    rows = [row["id"] for row in RecordLog(log).peek()]
    assert Counter(rows) == Counter(ask.name for ask in asks)
    assert rows[:7] == list(early)
    new = sum(record.tokens for record in straight if record.id not in early)
    ends = sum(record.finish == "eos" for record in straight if record.id not in early)
    assert meter.totals()["generated"] == new + ends
    assert len({record.answer for record in straight}) > 5


def test_resumed_equals_straight(
    actor: ModelHandle, asks: list[Ask], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_resumed(answer, actor, asks, tmp_path, monkeypatch)


def test_planted_answers_made_again(
    actor: ModelHandle, asks: list[Ask], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mutant(stage: Stage, *given: Any, **named: Any) -> list[Record]:
        (stage.path / "answers.jsonl").unlink()
        return answer(stage, *given, **named)

    with pytest.raises(AssertionError):
        check_resumed(mutant, actor, asks, tmp_path, monkeypatch)


def test_planted_order_of_finishing(
    actor: ModelHandle, asks: list[Ask], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mutant(stage: Stage, *given: Any, **named: Any) -> list[Record]:
        answer(stage, *given, **named)
        return list(read_answers(stage.path).values())

    with pytest.raises(AssertionError):
        check_resumed(mutant, actor, asks, tmp_path, monkeypatch)


def test_planted_seeds_by_place_among_the_missing(
    actor: ModelHandle, asks: list[Ask], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    def mutant(stage: Stage, actor: ModelHandle, asks: Sequence[Ask], **named: Any) -> list[Record]:
        done, place = read_answers(stage.path), iter(range(100))
        moved = [
            ask if ask.name in done else replace(ask, sampling=asks[next(place)].sampling)
            for ask in asks
        ]
        return answer(stage, actor, moved, **named)

    with pytest.raises(AssertionError):
        check_resumed(mutant, actor, asks, tmp_path, monkeypatch)


def test_nothing_missing_loads_no_model(
    actor: ModelHandle, asks: list[Ask], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = stage_of(tmp_path / "a")
    done = answer(stage, actor, asks, batch_size=8, meter=Meter())

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("loaded")

    monkeypatch.setattr("burnish.models.load.load_model", refuse)
    monkeypatch.setattr(answering, "generate", refuse)
    idle = ModelHandle(actor.spec, precision="fp32", device="cpu")
    assert answer(stage, idle, asks, batch_size=8, meter=Meter()) == done


def test_seeds_of_samples() -> None:
    """A sample's seed is that of its task and number: other tasks and numbers change nothing."""
    one, two, three = tasks_of(3)
    sampling = {"temperature": 1.0, "max_new_tokens": 4}
    few = {ask.name: ask.sampling.seed for ask in sampled_asks([two], [1], seed=0, **sampling)}
    many = {
        ask.name: ask.sampling.seed
        for ask in sampled_asks([one, two, three], range(4), seed=0, **sampling)
    }
    assert few.items() <= many.items()
    assert len(set(many.values())) == 12
    other = sampled_asks([two], [1], seed=1, **sampling)
    assert other[0].sampling.seed not in many.values()


def test_drafting_is_chosen_for_the_longest_answer(
    actor: ModelHandle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks = [
        Ask(name=str(n), task=task, sampling=Sampling(temperature=0.0, max_new_tokens=n))
        for n, task in zip((2, 5, 3), tasks_of(3), strict=True)
    ]
    told: list[dict[str, int]] = []
    exact = Drafting.choose
    monkeypatch.setattr(
        Drafting, "choose", lambda self, actor, **n: told.append(n) or exact(self, actor, **n)
    )
    answer(stage_of(tmp_path), actor, asks, batch_size=3, meter=Meter(), drafting=Drafting())
    assert told == [{"num_texts": 3, "new_tokens": 5, "batch_size": 3}]


def test_greedy_asks() -> None:
    asks = greedy_asks(tasks_of(2), 5)
    assert [(a.sampling.temperature, a.sampling.max_new_tokens) for a in asks] == [(0.0, 5)] * 2
    assert [ask.name for ask in asks] == [ask.task.id for ask in asks]


def test_what_a_record_says(actor: ModelHandle, asks: list[Ask], tmp_path: Path) -> None:
    record = answer(stage_of(tmp_path / "a"), actor, asks[:1], batch_size=1, meter=Meter())[0]
    assert (record.id, record.task_id, record.prompt) == (
        asks[0].name,
        asks[0].task.id,
        asks[0].task.prompt,
    )
    assert record.provenance == {"model": actor.key[:16], "seed": asks[0].sampling.seed}
