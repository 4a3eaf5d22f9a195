"""What makes two tasks one, against Python's own arithmetic."""

import random
import re
from typing import Any

import pytest

from burnish.data import canonical
from burnish.data.canonical import canonical_text, content_key
from burnish.data.splits import check_disjoint, split_tasks
from burnish.data.tasks import make_task

SAME = [
    ("What is 3 + 4?", "what is  4 + 3?"),
    ("5 - 0 + 7 =", "7 + 5 - 0 ="),
    ("multiply: 21 * 67. Give", "multiply: 67 * 21. Give"),
    ("21 \u00d7 67", "67 * 21"),
    ("2 * (3 + 4) - 1", "( 4 + 3 ) * 2 - 1"),
    ("GCD of these numbers: 312, 20. Give", "GCD of these numbers: 20, 312. Give"),
    ("the sum of 5, 7 and 9", "the sum of 9, 5 and 7"),
    ("1,000 + 2", "2 + 1,000"),
    ("(3 + 4)", "(4 + 3)"),
    ("8 / 2 * 3", "3 * 8 / 2"),
]
OTHER = [
    ("7 - 4", "4 - 7"),
    ("8 / 2", "2 / 8"),
    ("2 ^ 3", "3 ^ 2"),
    ("3 + 4", "3 * 4"),
    ("3 + 4", "3 - 4"),
    ("2 * (3 + 4)", "2 * 3 + 4"),
    ("What comes next: 2, 4, 8", "What comes next: 4, 2, 8"),
    ("3 + 4", "3 + 5"),
    ("add 3 + 4", "sum 3 + 4"),
    ("room 4-7", "room 7-4"),
    ("1,000 + 2", "1 + 2,000"),
]


@pytest.mark.parametrize(("a", "b"), SAME)
def test_commuted_operands_are_one_task(a: str, b: str) -> None:
    tasks = [make_task(text, "1", group="g") for text in (a, b)]
    assert content_key(tasks[0]) == content_key(tasks[1])


@pytest.mark.parametrize(("a", "b"), OTHER)
def test_other_questions_stay_apart(a: str, b: str) -> None:
    assert canonical_text(a) != canonical_text(b)


def expression(rng: random.Random, depth: int) -> str:
    if depth == 0:
        return str(rng.randint(1, 9))
    parts = [expression(rng, rng.randint(0, depth - 1)) for _ in range(rng.randint(2, 3))]
    signs = rng.choice([("+", "-"), ("*",), ("*", "/")])
    text = parts[0] + "".join(f" {rng.choice(signs)} {part}" for part in parts[1:])
    return f"({text})" if rng.random() < 0.5 else text


def check_values(canonical_of: Any) -> None:
    """Expressions with one canonical form have one value; the form itself can be read again."""
    rng, values, num_merged = random.Random(0), {}, 0
    for _ in range(4000):
        text = expression(rng, 2)
        try:
            value = round(eval(text), 9)
        except ZeroDivisionError:
            continue
        form = canonical_of(text)
        assert canonical_of(form) == form, text
        num_merged += form in values
        assert values.setdefault(form, value) == value, (text, form)
    assert num_merged > 200


def test_equal_forms_have_equal_values() -> None:
    check_values(canonical_text)


@pytest.mark.parametrize("form", [
    lambda text: " ".join(sorted(re.findall(r"\d+|[-+*/()]", text))),
    lambda text: "".join(sorted(canonical_text(text).split())),
])  # fmt: skip
def test_planted_sorting_of_everything(form: Any) -> None:
    with pytest.raises(AssertionError):
        check_values(form)


def test_splits_share_no_commuted_twin() -> None:
    rows = [f"{a} + {b} =" for a in range(12) for b in range(12)]
    tasks = [make_task(text, "1", group="g") for text in rows]
    splits = split_tasks(tasks, train=40, dev=10, heldout=20, seed=0)
    check_disjoint(splits)
    pairs = [
        {tuple(sorted(re.findall(r"\d+", task.prompt))) for task in part}
        for part in (splits.train, splits.dev, splits.heldout)
    ]
    assert not pairs[0] & pairs[2] and not pairs[0] & pairs[1] and not pairs[1] & pairs[2]


def test_planted_order_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        canonical._Parser, "expression", lambda self: (_ for _ in ()).throw(ValueError)
    )
    with pytest.raises(AssertionError):
        test_splits_share_no_commuted_twin()
