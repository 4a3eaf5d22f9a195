"""Results of calls against what problems expect."""

import itertools
import math

import pytest

from burnish.sandbox.values import Unordered, read_shown, same_value

HUGE = 10**400


def check_pairs(same_value):
    same = [(1, 1.0), (0.1 + 0.2, 0.3), ([1, {"a": None}], [1, {"a": None}]), (HUGE, HUGE),
            (math.nan, math.nan), (math.inf, math.inf), (True, True), (2.0**70, 2**70),
            ({"1": 2}, {"1": 2.0}), ("a", "a"), (None, None), (1e12, 1e12 + 1),
            (1, 1 - 1e-12)]  # fmt: skip
    different = [(1, True), (0, False), (1, "1"), ([1], [1, 2]), ({"a": 1}, {"b": 1}),
                 (math.nan, 1.0), (None, 0), (math.inf, -math.inf), (10**12 + 1, 10**12),
                 (10**12 + 1, 1e12), (HUGE, 1e308), (HUGE, HUGE + 1), (HUGE, math.inf),
                 (HUGE, math.nan), (2**53 + 1, 2**53), ([], [1.1])]  # fmt: skip
    assert all(same_value(a, b) and same_value(b, a) for a, b in same)
    wrong = [(a, b) for a, b in different if same_value(a, b) or same_value(b, a)]
    assert wrong == []


def test_values_are_compared_by_kind():
    check_pairs(same_value)


def test_planted_tolerance_for_integers():
    def tolerant(a, b):
        if isinstance(a, int) and isinstance(b, int) and a is not True and b is not False:
            return math.isclose(a, b, rel_tol=1e-9) if max(a, b) < HUGE else a == b
        return same_value(a, b)

    with pytest.raises(AssertionError):
        check_pairs(tolerant)


@pytest.mark.parametrize("items", [(1, 2, 10), ("b", "a"), ((0, 1), (0, 0)), (0.1 + 0.2, 5), ()])
def test_a_set_is_any_order_of_its_list(items):
    shown = read_shown(["s", [["l", list(i)] if isinstance(i, tuple) else i for i in items]])
    listed = [list(i) if isinstance(i, tuple) else i for i in items]
    for order in itertools.permutations(listed):
        assert same_value(shown, [round(x, 9) if isinstance(x, float) else x for x in order])
    assert not same_value(shown, [*listed, 7])
    if listed:
        assert not same_value(shown, [*listed[1:], "other"])
        assert not same_value(shown, [*listed[1:], listed[1] if len(listed) > 1 else 9])
    assert not same_value(shown, "text")


def test_tagged_json_is_read():
    shown = ["d", [[["x", "0x1"], ["l", [1.5, None]]], [["l", [True, "a"]], ["o", "2020-01-01"]]]]
    assert read_shown(shown) == {"1": [1.5, None], '[true, "a"]': "2020-01-01"}
    assert read_shown(["x", hex(-HUGE)]) == -HUGE
    assert read_shown(["s", [1]]) == Unordered(items=(1,))
