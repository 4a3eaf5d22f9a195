"""Parts of answers, against parts written down by hand."""

import pytest

from burnish.data.math.split import LISTING, is_whole, separated, split, strip_ends
from burnish.data.math.tokens import tokenize


def texts(parts):
    return [" ".join(token.text for token in part) for part in parts]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("1, 2; 3", ["1", "2", "3"]), ("(1, 2), 3", ["( 1 , 2 )", "3"]), ("1,", ["1", ""]),
        ("[1, (2, 3)], 4", ["[ 1 , ( 2 , 3 ) ]", "4"]), ("7", ["7"]),
        ("\\{1, 2\\}, 3", ["\\{ 1 , 2 \\}", "3"]),
        ("\\langle 1, 2 \\rangle, \\lfloor 3, 4 \\rfloor",
         ["\\langle 1 , 2 \\rangle", "\\lfloor 3 , 4 \\rfloor"]),
    ],
)  # fmt: skip
def test_parts_outside_brackets(text, parts):
    assert texts(split(tokenize(text), LISTING)) == parts


@pytest.mark.parametrize(
    ("text", "parts", "words"),
    [
        ("1 and 2", ["1", "2"], {"and"}), ("1 or 2", ["1", "2"], {"or"}),
        ("1, 2", ["1", "2"], set()),
        ("1, and 2", ["1", "2"], {"and"}), ("x \\lor y", ["x", "y"], {"or"}),
        ("x \\land y or z", ["x", "y", "z"], {"and", "or"}), ("x \\vee y", ["x", "y"], {"or"}),
        ("x \\wedge y", ["x", "y"], {"and"}),
    ],
)  # fmt: skip
def test_lists_with_words(text, parts, words):
    found, said = separated(tokenize(text))
    assert (texts(found), said) == (parts, words)


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("(1, 2)", True), ("(1)(2)", False), ("(1) + 2", False), ("1", False), ("((1))", True),
        ("(1", False), ("[1, 2)", True), ("\\{1\\}", True), ("1 + (2)", False),
    ],
)  # fmt: skip
def test_brackets_that_hold_all(text, whole):
    assert is_whole(tokenize(text)) is whole


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("about 5.", "5"), ("Either 1 or 2,", "1 or 2"), ("5:", "5"), ("exactly both 3;", "3"),
        ("'7'", "7"), ("(5)", "( 5 )"), ("B)", "B"), ("1 + 2)", "1 + 2 )"), ("...", ""),
    ],
)  # fmt: skip
def test_punctuation_and_idle_words_around(text, kept):
    assert texts([strip_ends(tokenize(text))]) == [kept]
