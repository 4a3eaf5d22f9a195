"""Containers that both processes hold: which are noticed, and when one of them was changed."""

import collections

import pytest
from fixtures.verdicts import KINDS

from burnish.sandbox.guard.border import Peer
from burnish.sandbox.guard.sharing import MOST, Shared, kept
from burnish.sandbox.judging import judge
from burnish.sandbox.problem import read_problem
from burnish.sandbox.verdict import Status

CONTAINERS = [[1], {1}, {1: 2}, bytearray(b"a"), collections.deque([1]), collections.Counter("a")]


@pytest.mark.parametrize("one", CONTAINERS, ids=lambda one: type(one).__name__)
def test_what_something_else_holds_is_kept(one):
    assert kept([one]) == [0]
    assert kept([one, [2]]) == [0]


def test_what_nothing_else_holds_is_not_kept():
    assert kept([]) == []
    assert kept([[], {}, set()]) == []


def test_one_another_do_not_count():
    def message(num):
        found: list = [[[]], {"a": 1}]
        found += [found[0][0], ([], (found[1],))[1:]] * num
        return [found[0], found[1], found[2]]

    assert kept(message(1)) == []
    inner: list = []
    assert kept([[(1, inner)], inner]) == [1]  # this frame holds it


def test_a_container_in_nested_tuples_is_found():
    def message():
        inner: list = []
        return [[(0, (inner, inner))], inner]

    assert kept(message()) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.append(3),
        lambda v: v.pop(),
        lambda v: v.__setitem__(0, 5),
        lambda v: v.reverse(),
    ],
)
def test_a_change_is_told_once(change):
    shared, one = Shared(), [1, 2]
    shared.add([one])
    assert not shared.changed()
    change(one)
    assert shared.changed()
    assert not shared.changed()


def test_values_of_a_dictionary_are_watched():
    shared, one = Shared(), {"a": 1}
    shared.add([one])
    one["a"] = 2
    assert shared.changed()
    one["b"] = one.pop("a")
    assert shared.changed()


def test_equal_but_another_object_is_a_change():
    shared, one = Shared(), [[]]
    shared.add([one])
    one[0] = []
    assert shared.changed()


def test_crossing_again_is_by_identity():
    shared, one = Shared(), [1]
    shared.add([one])
    assert shared.holds([[1], one])
    assert not shared.holds([[1]])


def test_what_is_too_much_counts_as_changed_once():
    shared, large = Shared(), list(range(MOST))
    shared.add([large])
    assert shared.changed()
    assert not shared.changed()
    shared.add([large[1:]])
    assert not shared.changed()


def test_what_nobody_holds_any_more_makes_room():
    shared, one = Shared(), [1]
    shared.add([one])
    for number in range(10 * MOST):
        shared.add([[number]])
        assert shared.size <= MOST
        assert not shared.changed()
    assert shared.holds([one])
    held = [[number] for number in range(MOST)]
    shared.add(held)
    assert shared.changed()


def test_one_that_grows_counts_by_what_it_holds():
    shared, one = Shared(), [0]
    shared.add([one])
    one.extend(range(10))
    assert shared.changed()
    assert shared.size == 12


def test_a_container_that_a_thread_changes_counts_as_changed():
    class Busy(dict):
        def values(self):
            raise RuntimeError("dictionary changed size during iteration")

    shared = Shared()
    shared.add([Busy(a=1)])
    assert shared.changed()


ROWS = KINDS["containers that both sides hold"]


def test_right_and_wrong_code_are_told_apart_by_a_second_run(namespaces):
    for name, _, problem in ROWS:
        (result,) = judge(read_problem(problem)).tests
        assert result.way == ("border" if name in ("class-kept-ok", "same-elem") else "together"), (
            name
        )


def test_a_table_that_never_changes_needs_no_second_run(namespaces):
    code = "T = list(range(50))\ndef f(n):\n    return T if n % 2 else [n]"
    given = {"code": code, "language": "python"}
    asserts = "for i in range(300):\n    assert f(2 * i) == [2 * i] and f(1)[3] == 3"
    result = judge(read_problem({**given, "asserts": asserts}))
    assert result.verdict is Status.ACCEPTED
    assert result.tests[0].way == "border"


def test_a_peer_reports_each_word_once():
    told: list[str] = []
    peer = Peer(0, 0, True, report=told.append)
    for _ in range(2):
        peer.strain()
    assert told == ["strained"]
    for _ in range(2):
        peer.strain("split")
    assert told == ["strained", "split"]
    other: list[str] = []
    Peer(0, 0, True, report=other.append).strain("split")
    assert sorted(other) == ["split", "strained"]
    Peer(0, 0, False).strain()  # the code's side reports nothing
