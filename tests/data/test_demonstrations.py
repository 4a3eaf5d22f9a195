"""Layouts of examples, written out by hand."""

import pytest

from burnish.data import demonstrations
from burnish.data.demonstrations import STOPS, lay_out

EXAMPLES = [("1 + 1 =", "2"), ("2 + 3 =", "First two, then three.\n#### 5")]
TEXT = (
    "Question: 1 + 1 =\nAnswer: 2\n\n"
    "Question: 2 + 3 =\nAnswer: First two, then three.\n#### 5\n\n"
    "Question: 4 + 4 =\nAnswer:"
)


def check_layouts() -> None:
    assert lay_out("block", "4 + 4 =", EXAMPLES) == TEXT
    assert lay_out("message", "4 + 4 =", EXAMPLES) == ({"role": "user", "content": TEXT},)
    assert lay_out("turns", "4 + 4 =", EXAMPLES) == (
        {"role": "user", "content": "1 + 1 ="},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "2 + 3 ="},
        {"role": "assistant", "content": "First two, then three.\n#### 5"},
        {"role": "user", "content": "4 + 4 ="},
    )


def test_layouts_are_these_texts() -> None:
    check_layouts()


def test_without_examples_turns_are_the_question_alone() -> None:
    assert lay_out("turns", "4 + 4 =") == ({"role": "user", "content": "4 + 4 ="},)
    assert lay_out("block", "4 + 4 =") == "Question: 4 + 4 =\nAnswer:"


def test_the_stop_is_the_next_question_and_nothing_before_it() -> None:
    assert STOPS["turns"] == ()
    for layout in ("message", "block"):
        (stop,) = STOPS[layout]
        assert TEXT.count(stop) == 2  # one before every question but the first
        assert stop not in "First two, then three.\n\n#### 5"


def test_planted_question_without_its_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demonstrations, "ANSWER", "")
    with pytest.raises(AssertionError):
        check_layouts()
