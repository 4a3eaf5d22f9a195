"""Keys of expressions: equal exactly for equal values, over values chosen by hand."""

import pytest

from burnish.data.math import keys
from burnish.data.math.expressions import read_expression
from burnish.data.math.keys import equation_key, expression_key
from burnish.data.math.tokens import Unreadable

CLASSES = [
    ["1/2", "0.5", "50%", "\\sin 30^\\circ", "2^{-1}"],
    ["2\\sqrt{2}", "\\sqrt{8}", "2^{3/2}", "\\frac{4}{\\sqrt{2}}"],
    ["2^{1000000}", "4^{500000}"], ["2^{1000001}"], ["9^{9^{9}}"], ["(10^8)!+1"], ["(10^8)!"],
    ["(x+1)^2", "x^2+2x+1"], ["10^{-10^{10}}"], ["0"], ["\\infty"], ["-\\infty"],
]  # fmt: skip


def check_classes(key):
    seen = {}
    for number, texts in enumerate(CLASSES):
        for text in texts:
            seen.setdefault(key(read_expression(text)), set()).add(number)
    assert len(seen) == len(CLASSES) and all(len(numbers) == 1 for numbers in seen.values())


def test_keys_are_equal_exactly_for_equal_values():
    check_classes(expression_key)


def test_planted_structure_without_absorption(monkeypatch):
    monkeypatch.setattr(
        "burnish.data.math.numeric._Evaluation._sum", lambda self, terms: sum(terms)
    )
    with pytest.raises(AssertionError):
        check_classes(expression_key)


def test_an_equation_is_the_same_for_every_multiple():
    def key(left, right):
        return equation_key(read_expression(left), read_expression(right))

    assert key("2x+4y-3", "0") == key("y", "-x/2+3/4")
    assert key("x^2+y^2", "4") != key("x^2-y^2", "4")


def test_no_value():
    with pytest.raises(Unreadable, match="no value"):
        expression_key(read_expression("1/0"))
    assert keys.rational_key.__name__  # the module is the one under test


def test_two_equal_sides_are_an_identity():
    assert equation_key(read_expression("x+1"), read_expression("1+x")) == ("equation", "identity")


def test_functions_of_what_is_beyond_all_digits_differ_by_name():
    large = "(10^{10^{10}})"
    found = {expression_key(read_expression(f"\\{name}{large}")) for name in ("sin", "cos", "tan")}
    assert len(found) == 3
