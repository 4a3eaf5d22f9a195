"""Documents cut to a window: as much as fits, from both ends, never a token more."""

from typing import Any

import pytest

from burnish.base.errors import InputError
from burnish.contracts.task import Task
from burnish.data.chat import render_messages, to_messages
from burnish.recipes import documents
from burnish.recipes.documents import whole, with_documents


def task_of(document: str, question: str = "Which colour?") -> Task:
    metadata = {"document": document, "question": question}
    return Task(id="a", prompt="p", answer="red", group="g", checker="exact", metadata=metadata)


def check_cut(tokenizer: Any) -> None:
    document = " ".join(f"word{i}" for i in range(120))
    task = task_of(document)
    length = len(render_messages(tokenizer, to_messages(whole(task))))
    for most in (length // 3, length // 2, length - 1, length, length + 5):
        text, total, kept = documents.cut_to(task, tokenizer, most)
        used = len(render_messages(tokenizer, to_messages(text)))
        assert most - 8 <= used <= most or used == length  # seams may cost a token or two
        assert (kept == total) == (most >= length) == (text == whole(task))
        assert text.endswith("\n\nWhich colour?") and text.startswith("word0 word1")
        begin, _, rest = text.removesuffix("\n\nWhich colour?").partition("\n...\n")
        assert document.startswith(begin) and document.endswith(rest)
        assert kept == total or abs(len(begin) - len(rest)) < 20


def test_cut_documents_fill_the_window(tiny_model: Any) -> None:
    check_cut(tiny_model("llama").tokenizer)


def test_planted_cut_that_ignores_the_question(
    tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = documents.cut_to
    monkeypatch.setattr(documents, "cut_to", lambda task, tokenizer, most: exact(
        task, tokenizer, most + 20))  # fmt: skip
    with pytest.raises(AssertionError):
        check_cut(tiny_model("llama").tokenizer)


def test_a_question_without_room_is_refused(tiny_model: Any) -> None:
    with pytest.raises(InputError, match=f"^question must fit 5 tokens, got '{'why ' * 15}'"):
        documents.cut_to(task_of("some words", "why " * 40), tiny_model("llama").tokenizer, 5)


def test_only_tasks_with_documents() -> None:
    plain = Task(id="b", prompt="p", answer="red", group="g", checker="exact")
    assert [one.id for one in with_documents([plain, task_of("d")])] == ["a"]
    assert whole(task_of("d")) == "d\n\nWhich colour?"
