"""What a task shares with what was trained on."""

import random

import pytest

from burnish.contracts.task import Task
from burnish.data import overlap
from burnish.data.canonical import canonical_text
from burnish.data.overlap import NEAR_FRAC, Seen, overlaps
from burnish.data.tasks import make_task


def task_of(prompt: str, answer: str = "42") -> Task:
    return make_task(prompt, answer, group="g", checker="number")


@pytest.mark.parametrize(
    ("prompt", "answer", "kind"),
    [
        ("What is 12 + 30?", "42", "same"),
        ("what  is 30 + 12?", "42", "same"),  # commuted
        ("Bob has 12 pears, and his aunt gives him another 30. How many?", "42", "renamed"),
        ("Bob has 12 pears, and his aunt takes away 30 of them. How many?", "-18", ""),
        ("What is 12 + 31?", "43", ""),
        ("Of 5 birds one flies away.", "4", ""),
    ],
)
def test_kinds(prompt: str, answer: str, kind: str) -> None:
    found = Seen([("What is 12 + 30?", "42"), ("There are 5 apples; I eat one.", "4")])
    assert found.overlap(task_of(prompt, answer)).kind == kind


def test_a_long_text_with_a_changed_word_is_near() -> None:
    text = "Write a function that returns the longest run of equal neighbours in a list of words, "
    text += "where words are equal if they differ in case only, and the first of several counts."
    found = Seen([(text, "-")]).overlap(task_of(text.replace("Write a", "Give the"), "x"))
    assert (found.kind, found.trained) == ("near", text) and found.containment > NEAR_FRAC


def test_overlaps_by_brute_force() -> None:
    draw = random.Random(5)
    words = ["sum", "of", "the", "tree", "12", "7", "red", "a", "b"]
    prompts = [" ".join(draw.choices(words, k=draw.randrange(1, 7))) for _ in range(40)]
    tasks = [task_of(" ".join(draw.choices(words, k=5))) for _ in range(40)]
    grams = [overlap._grams(canonical_text(prompt)) for prompt in prompts]
    seen = Seen([(prompt, "1") for prompt in prompts])
    for task, found in zip(tasks, overlaps(tasks, seen), strict=True):
        own = overlap._grams(canonical_text(task.prompt))
        best = max(len(own & other) / len(own) for other in grams)
        assert found.containment == pytest.approx(best) and found.task_id == task.id


def test_nothing_seen() -> None:
    found = Seen([]).overlap(task_of("What is 12 + 30?"))
    assert (found.kind, found.containment, found.trained) == ("", 0.0, "")


def test_planted_answers_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = overlap._problem
    monkeypatch.setattr(overlap, "_problem", lambda text, answer: exact(text, ""))
    with pytest.raises(AssertionError):
        test_kinds("Bob has 12 pears, and his aunt takes away 30 of them. How many?", "-18", "")
