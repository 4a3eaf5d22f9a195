"""Types and keys of whole answers, against pairs written down by hand."""

import pytest

from burnish.data.math import answer as module
from burnish.data.math.answer import read_answer
from burnish.data.math.tokens import Unreadable

EQUAL = [
    ("x=1 or x=2", "\\{2,1\\}"), ("(-\\infty,3)", "x<3"), ("(1,2)", "1<x<2"), ("5", "x=5"),
    ("\\pm 5", "-5, 5"), ("f(x)=x^2", "x^2"), ("x=1, y=2", "y=2, x=1"), ("(B)", "\\text{(B)}"),
    ("x \\in [1,2]", "[1,2]"), ("\\emptyset", "{}"), ("{1,2}", "\\{1,2\\}"), ("4:6", "2:3"),
    ("\\begin{pmatrix}1\\\\2\\end{pmatrix}", "\\begin{bmatrix} 1 \\\\ 2 \\end{bmatrix}"),
    ("0101_2", "101_{2}"), ("\\mathbb{R}", "(-\\infty, \\infty)"),
]  # fmt: skip
DIFFERENT = [
    ("(1,2)", "\\{1,2\\}"), ("1, 1", "1"), ("x=1, y=2", "x=2, y=1"), ("\\{5\\}", "5"),
    ("3:30 pm", "3:30 am"), ("1, 2, \\ldots, n", "1, 3, \\ldots, n"), ("not odd", "odd"),
    ("\\begin{pmatrix}1\\\\2\\end{pmatrix}", "(1,2)"), ("52_8", "52_9"), ("52_8", "53_8"),
    ("2:x", "2:y"),
]  # fmt: skip
KINDS = {
    "5": "integer", "1/2": "rational", "0.5": "decimal", "13%": "percent", "5 km": "quantity",
    "\\{1\\}": "set", "(1,2)": "tuple", "[1,2)": "interval", "x+1": "expression", "odd": "text",
    "1, 2": "list", "x+y=1": "equation", "y>x": "inequality", "2:3": "ratio", "12:00": "time",
    "52_8": "base", "\\frac{1}{2}": "rational", "+5": "integer", "3/1.5": "decimal",
}  # fmt: skip


def check_pairs(read):
    assert [p for p in EQUAL if read(p[0]).key != read(p[1]).key] == []
    assert [p for p in DIFFERENT if read(p[0]).key == read(p[1]).key] == []


def test_planted_pairs():
    check_pairs(read_answer)


def test_planted_tuples_read_as_sets(monkeypatch):
    readers = [module._list if r is module._bracketed else r for r in module._READERS]
    monkeypatch.setattr(module, "_READERS", tuple(readers))
    read_answer.cache_clear()
    with pytest.raises((AssertionError, Unreadable)):
        check_pairs(read_answer)
    read_answer.cache_clear()


def test_kinds():
    assert {text: read_answer(text).kind for text in KINDS} == KINDS


def test_a_sign_of_two_values_is_among_the_elements():
    assert read_answer("1, \\pm 2").key == read_answer("\\{-2, 1, 2\\}").key
    assert read_answer("1, \\pm 2").key != read_answer("\\{1, 2\\}").key


def test_brackets_around_a_relation_change_nothing():
    for text in ("x+y=1", "2x<3"):
        assert read_answer(f"({text})").key == read_answer(text).key


def test_an_inequality_of_which_one_half_has_no_root_is_text():
    for text in ("|x| < x", "|x| > -x", "|2x| < 2x"):
        assert read_answer(text).kind in ("text", "inequality"), text


@pytest.mark.parametrize("text", ["", "  ", "\\frac{3}{", "\\sqrt\\heartsuit", "(1,,2)", "1/0"])
def test_unreadable(text):
    with pytest.raises(Unreadable):
        read_answer(text)


@pytest.mark.parametrize("text", ["5 km", "two", "x = 5", "x < 3", "1/2", "A", "x + 1", "50%"])
def test_parentheses_around_an_answer_change_nothing(text):
    assert read_answer(f"({text})").key == read_answer(text).key
