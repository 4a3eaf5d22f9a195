"""The sceptic's controls: as many tokens as sampling took, and votes that count fairly."""

from collections.abc import Callable

import numpy as np
import pytest

from burnish.contracts.record import Record
from burnish.contracts.task import Task
from burnish.data.tasks import make_task
from burnish.recipes import controls
from burnish.recipes.answering import greedy_asks
from burnish.recipes.controls import (
    FORMS,
    Form,
    best_form,
    demonstrations,
    few_shot_asks,
    forms_for,
    num_votes,
    vote_accuracy,
)

Make = Callable[..., Record]


def tasks_of(num: int, group: str) -> list[Task]:
    return [make_task(f"{group} {i}", str(i), group=group) for i in range(num)]


def check_votes(count: Callable[[int, int, int], int]) -> None:
    """Votes times what a vote costs is what sampling took, but for rounding."""
    for sampled_tokens in (1, 119, 5520, 23_000, 124_200):
        for vote_tokens in (2, 280, 9600, 23_000):
            votes = count(sampled_tokens, vote_tokens, 32)
            assert 1 <= votes <= 32
            if 1 < votes < 32:
                assert abs(votes * vote_tokens - sampled_tokens) <= vote_tokens / 2
            elif votes == 32:
                assert sampled_tokens >= 31.5 * vote_tokens
            else:
                assert sampled_tokens <= 1.5 * vote_tokens


def test_votes_cost_the_same_tokens() -> None:
    check_votes(num_votes)
    assert num_votes(0, 10, 32) == 1
    assert num_votes(0, 0, 32) == 1  # answers may be empty texts


def test_planted_votes_by_number() -> None:
    """As many answers, not as many tokens: a vote of three times the length."""
    with pytest.raises(AssertionError):
        check_votes(lambda sampled, vote, most: num_votes(sampled, vote // 3, most))


def test_planted_votes_without_a_cap() -> None:
    with pytest.raises(AssertionError):
        check_votes(lambda sampled, vote, most: num_votes(sampled, vote, 999))


def test_vote_by_hand(make_record: Make) -> None:
    one, two, three = tasks_of(3, "g")
    samples = [(one, ["7", "7", "3"]), (two, ["3", "3", "7"]), (three, [None, None, "7"])]
    records = [
        make_record("right" if final == "7" else "wrong", task=task.id, extracted=final)
        for task, finals in samples
        for final in finals
    ]
    found = vote_accuracy([one, two, three], records)
    assert (found.value, found.n) == (pytest.approx(2 / 3), 3)


def check_votes_left_out(make_record: Make) -> None:
    """Unscored and cut answers have no vote; a task without votes counts as not right."""
    one, two, three = tasks_of(3, "g")
    records = [
        make_record("unscored", task=one.id, extracted="3"),
        make_record("unscored", task=one.id, extracted="3"),
        make_record("right", task=one.id, extracted="7"),
        make_record("unscored", task=two.id, extracted="3"),
        make_record("wrong", task=three.id, extracted="3", finish="length"),
        make_record("wrong", task=three.id, extracted="3", finish="length"),
        make_record("right", task=three.id, extracted="7"),
    ]
    found = vote_accuracy([one, two, three], records)
    assert (found.value, found.n) == (pytest.approx(2 / 3), 3)
    assert vote_accuracy([two], records[3:4]).value == 0


def test_votes_that_do_not_count(make_record: Make) -> None:
    check_votes_left_out(make_record)


@pytest.mark.parametrize("name", ["scored_records", "is_cut"])
def test_planted_votes_that_count(
    name: str, make_record: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = {"scored_records": lambda records: records, "is_cut": lambda record: False}
    monkeypatch.setattr(controls, name, keep[name])
    with pytest.raises(AssertionError):
        check_votes_left_out(make_record)


TURNS, BLOCK = Form(layout="turns"), Form(layout="block")


def test_demonstrations_are_training_tasks_of_the_same_group() -> None:
    train = tasks_of(9, "red") + tasks_of(1, "blue")
    shown = demonstrations(train, 3, np.random.default_rng(0), TURNS)
    assert shown == demonstrations(train, 3, np.random.default_rng(0), BLOCK)
    assert {group: len(set(pairs)) for group, pairs in shown.items()} == {"red": 3, "blue": 1}
    known = {(task.prompt, task.answer): task.group for task in train}
    assert all(known[pair] == group for group, pairs in shown.items() for pair in pairs)


def test_worked_answers_are_shown_where_the_form_says_so() -> None:
    plain, worked = (
        make_task("1 + 1", "2", group="g", metadata=metadata)
        for metadata in ({"worked": 7}, {"worked": "One and one.\n#### 2"})
    )
    form = Form(layout="message", worked=True)
    assert (form.answer(worked), form.answer(plain)) == ("One and one.\n#### 2", "2")
    assert Form(layout="message").answer(worked) == "2"
    assert [form.name for form in forms_for([plain])] == ["turns", "message", "block"]
    assert forms_for([plain, worked]) == FORMS and len({form.name for form in FORMS}) == 6


def test_the_form_with_most_right_answers(make_record: Make) -> None:
    def records(*verdicts: str) -> list[Record]:
        return [make_record(verdict) for verdict in verdicts]

    some = {TURNS: records("right", "wrong", "unscored"), BLOCK: records("right", "right", "wrong")}
    assert best_form(some) == BLOCK
    some[TURNS] = records("right", "unscored", "right")  # a tie: the first of both
    assert best_form(some) == TURNS


def test_few_shot_changes_nothing_but_the_demonstrations() -> None:
    asks = greedy_asks([*tasks_of(2, "red"), *tasks_of(1, "green")], 5)
    shown = {"red": (("q", "a"),)}
    few = few_shot_asks(asks, shown, TURNS)
    assert [ask.demonstrations for ask in few] == [shown["red"], shown["red"], ()]
    assert [(a.name, a.sampling, a.task) for a in few] == [
        (a.name, a.sampling, a.task) for a in asks
    ]
    block = few_shot_asks(asks, shown, BLOCK)
    assert {(ask.layout, ask.sampling.stop) for ask in block} == {("block", ("\nQuestion:",))}
    assert {ask.sampling.max_new_tokens for ask in block} == {5}
