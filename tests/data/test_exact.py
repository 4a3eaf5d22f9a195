"""Exact values, against Python's own arithmetic; and their bounds."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burnish.data.math import exact as module
from burnish.data.math.exact import exact
from burnish.data.math.expressions import read_expression

small = st.integers(-30, 30)


def check_equals_python(exact):
    values = {"7/3-2^4*3": Fraction(7, 3) - 48, "(2/3)^{-2}": Fraction(9, 4)}
    values |= {"(8/27)^{1/3}": Fraction(2, 3), "(-8)^3": Fraction(-512)}
    for text, value in values.items():
        assert exact(read_expression(text)) == value


def test_values_equal_pythons_own():
    check_equals_python(exact)


def test_planted_root_that_rounds(monkeypatch):
    monkeypatch.setattr(module, "_root", lambda number, index: round(number ** (1 / index)) + 1)
    with pytest.raises(AssertionError):
        check_equals_python(exact)


@given(small, small, small.filter(bool))
def test_sums_products_and_quotients(a, b, c):
    tree = read_expression(f"({a})*({b})-({a})/({c})")
    assert exact(tree) == a * b - Fraction(a, c)


BEYOND = ["9^{9^9}", "(10^8)!", "2^{1000000}", "\\sqrt{2}", "(-8)^{1/3}", "0^{-1}", "x"]


@pytest.mark.parametrize("text", [*BEYOND, "\\sum_{k=1}^{10^9} k"])
def test_nothing_beyond_the_bounds(text):
    assert exact(read_expression(text)) is None


def test_the_smallest_and_the_largest_of_several():
    assert exact(read_expression("\\min(3,2,5)")) == 2
    assert exact(read_expression("\\max(3,2,5)")) == 5
