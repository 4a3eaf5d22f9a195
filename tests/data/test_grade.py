"""Grading, against pairs of known truth, the case file, Math-Verify and the pairwise closure."""

import importlib.util
import json
import threading
import time
from pathlib import Path

import pytest
from fixtures.equal_answers import NEVER_EQUAL, identities, near_misses
from hypothesis import given, settings
from hypothesis import strategies as st

from burnish.base.errors import SettingError
from burnish.contracts.task import Task, Verdict
from burnish.data.checkers import judge
from burnish.data.math import grade as grading
from burnish.data.math.grade import answer_classes, grade, read_gold

CASES = Path(__file__).parents[3] / "shared" / "cases" / "grade.jsonl"
FORMS = ["1/2", "0.5", "\\frac{1}{2}", "50%", "\\sqrt{8}", "2\\sqrt{2}", "x+1", "1+x", "1, 2"]
FORMS += ["2", "\\{2,1\\}", "(1,2)", "1<x<2", "x=2", "no", "2 apples", "\\frac{", "75 cents", "2 m"]


def check_never_equal(grade):
    pairs = [*NEVER_EQUAL, *near_misses(256)]
    assert len(pairs) >= 300
    accepted = [p for g, a in pairs for p in [(g, a), (a, g)] if a and grade(*p).correct]
    assert accepted == []


def check_identities(grade):
    refused = [p for g, a in identities(160) for p in [(g, a)] if not grade(*p).correct]
    assert refused == []


def test_no_false_accept_on_adversarial_pairs():
    check_never_equal(grade)


def test_pairs_that_are_equal_by_construction():
    check_identities(grade)


def test_planted_float_comparison(monkeypatch):
    """Numbers compared as doubles: what near misses are there for."""
    real = grading.read_answer

    def rough(text):
        found = real(text)
        if found.value is None:
            return found
        return type(found)(**{**vars(found), "key": ("q", float(f"{float(found.value):.3g}"))})

    monkeypatch.setattr(grading, "read_answer", rough)
    monkeypatch.setattr("burnish.data.math.statement.read_answer", rough)
    with pytest.raises(AssertionError):
        check_never_equal(grade)


def test_the_case_files():
    if not CASES.exists():
        pytest.skip(f"{CASES.name} is not here")
    wrong = []
    for line in CASES.read_text().splitlines():
        row = json.loads(line)
        found = grade(row["gold"], row["answer"])
        if found.correct != row["correct"]:
            wrong.append((row, found))
    assert wrong == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(FORMS), min_size=2, max_size=6))
def test_classes_equal_the_pairwise_closure(texts):
    """Two texts share a class exactly when either is right for the other as reference."""
    classes = answer_classes(texts)
    for i, one in enumerate(texts):
        for j, other in enumerate(texts):
            same = classes[i] is not None and classes[i] == classes[j]
            assert same == grade(one, other).correct, (one, other)


def test_a_tolerance_is_a_mode_of_its_own():
    assert not grade("1/3", "0.333").correct
    assert grade("1/3", "0.333", tolerance=0.01).correct
    assert grade("\\pi", "3.1416", tolerance=1e-4).correct
    assert len(set(answer_classes(["1/3", "0.333"]))) == 2
    with pytest.raises(SettingError, match="tolerance must lie"):
        grade("1", "1", tolerance=2.0)


def test_verdicts_say_what_was_read_and_why():
    found = grade("18", "There are 7. The answer is 9 eggs.")
    assert (found.verdict, found.span, found.rule) == ("wrong", "9 eggs", "mark")
    assert grade("18", "\\boxed{\\frac{3}{").verdict == "unreadable"
    assert grade("\\frac{3}{", "18").verdict == "unscored"
    assert (grade("1/2", "0.5").gold_type, grade("1/2", "0.5").answer_type) == (
        "rational", "decimal",
    )  # fmt: skip


def test_the_checker_gives_the_four_verdicts():
    def verdict(answer, text):
        return judge(text, Task(id="0", prompt="?", answer=answer, group="g", checker="math"))

    assert verdict("1/2", "The answer is 0.5.").verdict == Verdict.RIGHT
    assert verdict("1/2", "The answer is 0.6.").verdict == Verdict.WRONG
    assert verdict("1/2", "\\boxed{}").verdict == Verdict.UNPARSABLE
    assert verdict("\\frac{3}{", "1").verdict == Verdict.UNSCORED


def test_a_thousand_votes_are_read_once_each(monkeypatch):
    calls = []
    real = grading.find_answer
    monkeypatch.setattr(grading, "find_answer", lambda text: calls.append(text) or real(text))
    answer_classes(["1/2", "0.5"] * 100)
    assert len(calls) == 200


def test_right_from_eight_threads():
    pairs, wrong = list(identities(64, seed=1)), []

    def work(part):
        wrong.extend(pair for pair in part if not grade(*pair).correct)

    threads = [threading.Thread(target=work, args=(pairs[i::8],)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.peer
def test_agrees_with_math_verify():
    if importlib.util.find_spec("math_verify") is None:
        pytest.skip("math-verify is not installed")
    import math_verify

    for gold, answer in near_misses(64):
        theirs = math_verify.verify(
            math_verify.parse(f"${gold}$"), math_verify.parse(f"${answer}$")
        )
        assert not (theirs and grade(gold, answer).correct)


@pytest.mark.parametrize(
    ("gold", "kind", "key"),
    [
        ("She has 5 apples. The answer is 5", "integer", ("q", 5, 1)),
        ("48/2 = 24 clips.\n#### 72", "integer", ("q", 72, 1)),
        ("\\text{so } \\boxed{7}", "integer", ("q", 7, 1)),
        ("Monday", "text", ("text", "monday")),
        ("3/4", "rational", ("q", 3, 4)),
    ],
)
def test_a_reference_is_an_answer_or_a_text_that_states_one(gold, kind, key):
    found = read_gold(gold)
    assert (found.kind, found.key) == (kind, key)


def test_hostile_input_ends_quickly():
    started = time.monotonic()
    for text in ("(" * 3000, "9^" * 500 + "9", "\\frac{" * 900, "1" * 3000, "a" * 3500,
                 "\\boxed{" * 2000, "{" * 200 + "}" * 200, "((((1!)!)!)!)!" * 20):  # fmt: skip
        assert not grade("5", text).correct
    assert time.monotonic() - started < 30  # a bound for hangs, not a measurement


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ("5", "the answers are equal"),
        ("6", "the answers differ"),
        ("x < 3", "the reference is of type integer, the answer of type interval"),
    ],
)
def test_the_reason_of_a_grade(found, says):
    assert grade("5", f"The answer is ${found}$.").reason == says
