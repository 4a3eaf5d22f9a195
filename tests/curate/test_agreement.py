"""Answers that test each other: majorities by hand."""

import pytest
from fixtures.curating import row
from fixtures.executing import Here

from burnish.base.records import write_records
from burnish.contracts.executor import RunState, TrialResult
from burnish.curate import agreement
from burnish.curate.agreement import measure_agreement

RIGHT = "def largest(v):\n    return max(v)\n"
SORTED = "def top(v):\n    return sorted(v)[-1]\n"
WRONG = "def largest(v):\n    return v[-1]\n"
RAISES = "def largest(v):\n    raise ValueError\n"
ASKED = "The largest value.\nlargest([3, 1]) == 3\nlargest([1, 2]) == 2"


def measured(tmp_path, answers, asked=ASKED, executor=None):
    rows = [row(i, asked, answer) for i, answer in enumerate(answers)]
    write_records(tmp_path / "pool.jsonl", rows)
    found = measure_agreement(tmp_path / "pool.jsonl", executor or Here())
    return {i: (q.state, q.passed, q.total) for i, q in found.items()}


def check_majorities(tmp_path):
    """`WRONG` is right on [1, 2] alone; what raises has no vote and passes nothing."""
    found = measured(tmp_path, [RIGHT, SORTED, RIGHT, WRONG, RAISES])
    assert [found[i] for i in range(3)] == [("executable", 2, 2)] * 3
    assert found[3] == ("executable", 1, 2) and found[4] == ("executable", 0, 2)


def test_majorities_on_planted_answers(tmp_path):
    check_majorities(tmp_path)


def test_planted_agreement_of_everything(tmp_path, monkeypatch):
    monkeypatch.setattr(agreement, "_agree", lambda pairs, i, j: True)
    with pytest.raises(AssertionError):
        check_majorities(tmp_path)


def test_two_answers(tmp_path):
    found = measured(tmp_path, [RIGHT, WRONG])
    assert found == {0: ("executable", 1, 1), 1: ("executable", 1, 1)}  # [3, 1] has no majority
    assert measured(tmp_path, [RIGHT]) == {}
    # nothing to call with
    assert measured(tmp_path, [RIGHT, SORTED], "The largest value.")[0][0] == "no_tests"


def test_answers_of_other_arities_are_apart(tmp_path):
    two = "def largest(a, b):\n    return max(a, b)\n"
    assert measured(tmp_path, [RIGHT, two]) == {}


def test_a_failing_machine_gives_no_count(tmp_path):
    class Broken:
        def run(self, trials):
            return [TrialResult(state=RunState.UNSCORED) for _ in trials]

    found = measured(tmp_path, [RIGHT, RIGHT], executor=Broken())
    assert found == {0: ("unscored", 0, 0), 1: ("unscored", 0, 0)}
