"""An index behind the loop of a server: its answers and spans are those of `ask`."""

from pathlib import Path
from typing import Any

import pytest

from burnish.contracts.generation import Request, Sampling
from burnish.kv.memory import open_memory
from burnish.stream import asking, serving
from burnish.stream.asking import Index
from burnish.stream.prompt import question_tokens
from burnish.stream.reading import ingest
from burnish.stream.serving import Cited, IndexSession, open_index_loop

QUESTIONS = (" x" * 40, "?", " sea boats dawn" * 6, " what left?", " what left?")


def answers(index: Index, **settings: Any) -> dict[str, Cited]:
    """All questions in three slots, each added while others decode; one is cancelled."""
    done: dict[str, Cited] = {}
    loop = open_index_loop(index, num_slots=3, on_done=lambda c: done.update({c.id: c}))
    for number, question in enumerate(QUESTIONS):
        tokens, _ = question_tokens(index.model.tokenizer, index.source, question, "plain")
        sampling = Sampling(max_new_tokens=7 + number, **settings)
        request = Request(id=str(number), prompt=tuple(tokens), sampling=sampling, num_logprobs=0)
        row = loop.add(request)
        if number == 0:
            loop.round()
            loop.cancel(row)
            loop.add(request)
        if number != 3:  # two equal prompts wait together
            loop.round()
    while not loop.is_idle:
        loop.round()
    return done


def check_answers(index: Index) -> None:
    done = answers(index)
    for number, question in enumerate(QUESTIONS):
        wanted, found = index.ask(question, max_new_tokens=7 + number), done[str(number)]
        assert found.text == wanted["text"], question
        assert index.spans(found.reads) == wanted["spans"] != [], question


@pytest.fixture
def index(settings_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    """Questions are longer than a chunk, and the budget is smaller than the text."""
    for module in (asking, serving):
        monkeypatch.setattr(module, "CHUNK_ROWS", 16)
    ingest(settings_of())
    return Index(tmp_path / "index")


def test_served_answers_are_those_of_ask(index: Index) -> None:
    check_answers(index)


def test_planted_slots_that_do_not_know_the_text(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    def empty(self: IndexSession) -> Any:
        return open_memory(self._policy, self._shape)

    monkeypatch.setattr(IndexSession, "open", empty)
    with pytest.raises(AssertionError):
        check_answers(index)


def test_planted_counts_that_texts_share(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_counting", lambda memory: memory.fork())
    with pytest.raises(AssertionError):
        check_answers(index)


def test_sampled_texts_share_a_question_and_no_counts(index: Index) -> None:
    done = answers(index, temperature=1.5, seed=3)
    assert done["3"].tokens == done["4"].tokens[: len(done["3"].tokens)]
    assert done["3"].reads is not done["4"].reads
    assert {one.finish for one in done.values()} <= {"length", "eos"}
