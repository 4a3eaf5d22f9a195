"""Unions and intersections of intervals, against membership of points."""

import itertools
from fractions import Fraction as F

import pytest

from burnish.data.math import regions
from burnish.data.math.answer import read_answer

POINTS = [F(n, 2) for n in range(-10, 11)]
WRITTEN = {
    "x<3": lambda x: x < 3,
    "-1 \\le x < 2": lambda x: -1 <= x < 2,
    "[0,1]\\cup[1,3)": lambda x: 0 <= x < 3,
    "(0,1)\\cup(1,3)": lambda x: 0 < x < 3 and x != 1,
    "x<-2 or x>2": lambda x: abs(x) > 2,
    "|x|>2": lambda x: abs(x) > 2,
    "|x|\\le 2": lambda x: abs(x) <= 2,
    "x>-1 and x<2": lambda x: -1 < x < 2,
    "3-2x \\ge 1": lambda x: x <= 1,
    "x \\ne 3": lambda x: x != 3,
    "(0,1]\\cup[0,2)": lambda x: 0 <= x < 2,
    "[0,1)\\cup(0,3]": lambda x: 0 <= x <= 3,
    "[0,2)\\cup[1,2]": lambda x: 0 <= x <= 2,
    "[0,2]\\cup[1,2)": lambda x: 0 <= x <= 2,
    "[-4,-3]\\cup[0,1]\\cup[0,2]\\cup[1,2)": lambda x: -4 <= x <= -3 or 0 <= x <= 2,
    "(4,5]\\cup[-1,0)\\cup(3,4]": lambda x: -1 <= x < 0 or 3 < x <= 5,
}


def members(key):
    found = set()
    for low, low_in, high, high_in in regions.pieces_of(key):
        for x in POINTS:
            above = x > low[0] or (low_in and x == low[0])
            if above and (x < high[0] or (high_in and x == high[0])):
                found.add(x)
    return found


def check_members():
    read_answer.cache_clear()
    for text, truth in WRITTEN.items():
        assert members(read_answer(text).key) == {x for x in POINTS if truth(x)}, text
    for one, other in itertools.combinations(WRITTEN, 2):
        same = all(WRITTEN[one](x) == WRITTEN[other](x) for x in POINTS)
        assert (read_answer(one).key == read_answer(other).key) == same, (one, other)


def test_unions_equal_membership_of_points():
    check_members()


def test_planted_touching_that_fills_a_gap(monkeypatch):
    real = regions.ordered
    monkeypatch.setattr(regions, "ordered", lambda a, b: a[1] == b[1] or real(a, b))
    with pytest.raises(AssertionError):
        check_members()
    read_answer.cache_clear()
