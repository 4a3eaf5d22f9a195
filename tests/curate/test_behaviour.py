"""Behavioural evidence, with an executor that runs the code here, in a process of its own."""

from dataclasses import replace

import pytest
from fixtures.curating import BEHAVIOUR, BRACKETS, GCD, ODD, PUZZLE, row
from fixtures.executing import Here

from burnish.contracts.executor import Executor, RunState
from burnish.curate import behaviour
from burnish.curate.behaviour import FAMOUS_NODES, Asked, is_common, run_asked, trials_of
from burnish.curate.programs import program_of, target_of
from burnish.curate.samples import read_sample

ITEMS = [GCD, ODD]
TARGETS = {i: target_of(item) for i, item in enumerate(ITEMS)}


def states():
    samples = [read_sample(r, i) for i, r in enumerate(BEHAVIOUR)]
    programs = {i: p for i, s in enumerate(samples) if (p := program_of(s)) is not None}
    asked = [Asked(r, i) for r in programs for i in range(len(ITEMS))]
    found = run_asked(asked, programs, ITEMS, TARGETS, Here())
    return {(samples[a.row].id, ITEMS[a.item].id): e.state for a, e in found.items()}


def check_planted():
    found = states()
    passed = {pair for pair, state in found.items() if state is RunState.PASSED}
    assert passed == {("common", "gcd"), ("rewritten", "odd")}
    assert (
        found["mutant", "odd"] is found["loop", "odd"] is found["exits", "odd"] is RunState.FAILED
    )
    assert not any(id == "exit" for id, _ in found)


def test_planted_samples():
    assert isinstance(Here(), Executor)
    check_planted()


def test_planted_name_that_is_not_set(monkeypatch):
    """Without the alias only a function of the tests' own name is found."""
    original = behaviour.trials_of

    def unnamed(program, item, target):
        found = original(program, item, target)
        lines = f"\n{target.entry} = "
        return {n: type(t)(code=t.code.partition(lines)[0], asserts=t.asserts)
                for n, t in found.items()}  # fmt: skip

    monkeypatch.setattr(behaviour, "trials_of", unnamed)
    with pytest.raises(AssertionError):
        check_planted()


def test_functions_are_chosen_by_their_arguments():
    code = (
        "def one(a):\n    return a\ndef two(a, b=1):\n    return a\ndef many(*xs):\n    return xs\n"
    )
    program = program_of(read_sample(row(1, "x", code), 1))
    assert list(trials_of(program, ODD, TARGETS[1])) == ["many", "two"]
    same = program_of(read_sample(row(1, "x", code + "def weird(v):\n    return 1\n"), 1))
    assert list(trials_of(same, ODD, TARGETS[1])) == ["weird"]


def test_common_knowledge():
    assert is_common(GCD, TARGETS[0])
    assert not is_common(ODD, TARGETS[1])
    assert not is_common(BRACKETS, target_of(BRACKETS))
    for name in ("correct_bracketing", "remove_duplicates"):  # a name says what is asked, too
        item = replace(BRACKETS, entry=name)
        assert is_common(item, replace(target_of(BRACKETS), num_nodes=FAMOUS_NODES))
        assert not is_common(item, replace(target_of(BRACKETS), num_nodes=FAMOUS_NODES + 1))


def test_what_a_sample_runs_is_left_out():
    text = f"x = input()\nLIMIT = 3\n{PUZZLE}\nprint(puzzle([1]))\nwhile True:\n    pass\n"
    program = program_of(read_sample(row(1, "x", text), 1))
    assert (
        "LIMIT" in program.code and "input" not in program.code and "while True" not in program.code
    )
