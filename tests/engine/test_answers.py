"""Many prompts, one call: resumed, in any batch, from a model here or behind a server."""

import itertools
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fixtures.serving import serve

from burnish.base.errors import InputError, ModelError, RemoteError, SettingError
from burnish.base.items import ItemLog
from burnish.base.log import RecordLog
from burnish.base.meter import Meter
from burnish.contracts.generation import Completion, Request, Sampling
from burnish.data.chat import render_prompt, to_messages
from burnish.engine import answers as module
from burnish.engine.answers import Answering, Prompt, answer_all, answer_rows
from burnish.engine.generate import generate
from burnish.models.handle import ModelHandle

Answer = Callable[..., list[Completion]]
WORDS = ("one", "two", "the hat", "the cat in the hat", "a", "mat")


def prompts(num: int = 6) -> list[Prompt]:
    return [
        Prompt(
            id=f"p{i}",
            content=tuple(to_messages(WORDS[i])),
            sampling=Sampling(max_new_tokens=7, temperature=1.0, seed=i),
        )
        for i in range(num)
    ]


@pytest.fixture
def handle(tiny_folder: Any) -> ModelHandle:
    return ModelHandle(str(tiny_folder("llama")), precision="fp32", device="cpu")


def die_after(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    exact, rows = RecordLog.append, []

    def append(log: RecordLog, row: Any) -> None:
        exact(log, row)
        rows.append(row)
        if len(rows) == count:
            raise KeyboardInterrupt

    monkeypatch.setattr(RecordLog, "append", append)


def check_resumed(
    answer: Answer, handle: Any, path: Path, monkeypatch: pytest.MonkeyPatch, *, num: int = 6
) -> None:
    """Interrupted after three answers, then resumed in other batches: nothing is asked again."""
    straight = answer_all(handle, prompts(num), how=Answering(batch_size=4))
    log = path / "answers.jsonl"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        die_after(patch, 3)
        answer(handle, prompts(num), log=log, how=Answering(batch_size=2))
    with log.open("a") as file:
        file.write('{"id": "ha')
    meter = Meter()
    early = [row["id"] for row in RecordLog(log).peek()]
    resumed = answer(handle, prompts(num), log=log, meter=meter, how=Answering(batch_size=3))
    assert resumed == straight
    assert [one.id for one in resumed] == [one.id for one in prompts(num)]
    rows = [row["id"] for row in RecordLog(log).peek()]
    assert Counter(rows) == Counter(one.id for one in prompts(num)) and rows[:3] == early
    new = [one for one in straight if one.id not in early]
    if not handle.is_server:
        ends = sum(one.finish == "eos" for one in new)
        assert meter.totals()["generated"] == sum(len(one.tokens) for one in new) + ends
    assert answer_all(ModelHandle("no-such-model"), prompts(num), log=log) == straight


def test_resumed_equals_straight(
    handle: ModelHandle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_resumed(answer_all, handle, tmp_path, monkeypatch)


def test_planted_answers_asked_for_again(
    handle: ModelHandle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mutant(handle: Any, prompts: Any, *, log: Path, **told: Any) -> list[Completion]:
        log.unlink(missing_ok=True)
        return answer_all(handle, prompts, log=log, **told)

    with pytest.raises((AssertionError, KeyError)):
        check_resumed(mutant, handle, tmp_path, monkeypatch)


def test_planted_seeds_by_place_among_the_missing(
    handle: ModelHandle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact, counts = module._to_request, itertools.count()

    def mutant(model: Any, prompt: Prompt) -> Request:
        sampling = replace(prompt.sampling, seed=next(counts))
        return exact(model, replace(prompt, sampling=sampling))

    monkeypatch.setattr(module, "_to_request", mutant)
    with pytest.raises(AssertionError):
        check_resumed(answer_all, handle, tmp_path, monkeypatch)


def echo(prompt: str, body: dict[str, Any]) -> str:
    return f"{prompt} {body['seed']}"


def test_a_server_resumes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(echo) as (serving, spec):
        check_resumed(answer_all, ModelHandle(spec), tmp_path, monkeypatch)
        assert len({(b["seed"], str(b["messages"])) for b in serving.asked}) == 6


def check_alike(handle: ModelHandle) -> None:
    """Batches, single requests, and the engine itself give the same."""
    many = answer_all(handle, prompts(), how=Answering(batch_size=4))
    for prompt, found in zip(prompts(), many, strict=True):
        tokens = render_prompt(handle.tokenizer, prompt.content[0]["content"])  # type: ignore
        request = Request(id=prompt.id, prompt=tuple(tokens), sampling=prompt.sampling)
        assert generate(handle.model, [request]) == [found]
        given = [replace(prompt, content=tuple(tokens))]
        assert answer_all(handle.model, given, how=Answering(label="")) == [found]


def test_any_batch_or_concurrency_is_alike(handle: ModelHandle) -> None:
    check_alike(handle)
    with serve(echo) as (serving, spec):
        serving.together = threading.Barrier(3, timeout=20)
        server = ModelHandle(spec)
        many = answer_all(server, prompts(), how=Answering(num_concurrent=3))
        assert serving.most_at_once == 3
        serving.together = None
        one = answer_all(server, prompts(), how=Answering(num_concurrent=1))
        assert many == one
        assert [done.text for done in many] == [f"{w} {i}" for i, w in enumerate(WORDS)]


def test_planted_prompt_without_its_template(
    handle: ModelHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        module, "render_messages", lambda tok, messages: tok(messages[-1]["content"])["input_ids"]
    )
    with pytest.raises(AssertionError):
        check_alike(handle)


def test_a_text_is_continued_as_it_is(handle: ModelHandle) -> None:
    sampling = Sampling(max_new_tokens=4)
    tokens = tuple(handle.tokenizer("the cat")["input_ids"])
    (text,), (ids,) = (
        answer_all(handle, [Prompt(id="a", content=content, sampling=sampling)])
        for content in ("the cat", tokens)
    )
    assert text == ids
    with serve(lambda prompt, body: f"{prompt}!") as (serving, spec):
        meter = Meter()
        given = [Prompt(id="a", content="the cat", sampling=sampling)]
        (found,) = answer_all(ModelHandle(spec), given, meter=meter)
        assert (found.id, found.text, serving.asked[0]["prompt"]) == ("a", "the cat!", "the cat")
        assert meter.totals()["generated"] == 2


def test_another_way_of_decoding_is_handed_in(handle: ModelHandle) -> None:
    asked: list[tuple[int, int]] = []

    def decode(model: Any, requests: Any, *, batch_size: int, **given: Any) -> list[Completion]:
        asked.append((len(requests), batch_size))
        return generate(model, requests, batch_size=1, **given)

    found = answer_all(handle, prompts(), how=Answering(generate=decode, batch_size=5))
    assert asked == [(6, 5)]
    assert found == answer_all(handle, prompts())


def test_rows_of_the_callers_form(handle: ModelHandle, tmp_path: Path) -> None:
    log = ItemLog(tmp_path / "rows.jsonl")
    rows = answer_rows(handle, prompts(2), lambda c: {"id": c.id, "n": len(c.tokens)}, log=log)
    assert [row["id"] for row in rows] == ["p0", "p1"]
    kept = RecordLog(tmp_path / "rows.jsonl").peek()
    assert sorted(kept, key=lambda row: row["id"]) == rows
    assert [set(row) for row in rows] == [{"id", "n"}] * 2


def test_what_is_refused(handle: ModelHandle) -> None:
    with pytest.raises(InputError, match="'p0'"):
        answer_all(handle, [*prompts(2), *prompts(1)])
    with pytest.raises(SettingError, match="num_concurrent must be at least 1"):
        Answering(num_concurrent=0)
    with serve(echo) as (serving, spec):
        server = ModelHandle(spec)
        with pytest.raises(ModelError, match="must not be token ids for a server"):
            answer_all(server, [replace(prompts(1)[0], content=(1, 2))])
        serving.tells_usage = False
        with pytest.raises(RemoteError, match="must report how many tokens it wrote"):
            answer_all(server, prompts(), meter=Meter())
        serving.status = 503
        with pytest.raises(RemoteError, match="503"):
            answer_all(server, prompts())
