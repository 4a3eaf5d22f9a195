"""Tokens of answers, against ones written down by hand."""

from fractions import Fraction as F

import pytest

from burnish.data.math import tokens
from burnish.data.math.tokens import Unreadable, tokenize

PLANTED = [
    ("1,234.5", [F("1234.5")]),
    ("(1,234)", ["(", F(1), ",", F(234), ")"]),
    ("1\u202f234", [F(1234)]),
    ("1{,}234", [F(1234)]),
    ("2 1/3", [F(7, 3)]),
    ("0.1\\overline{6}", [F(1, 6)]),
    ("1e3", [F(1000)]),
    ("4\u00b2", [F(4), "^", "{", F(2), "}"]),
    ("\u0664\u0662", [F(42)]),
    ("\\frac34", ["\\frac", "{", F(3), "}", "{", F(4), "}"]),
    ("\u22125", ["-", F(5)]),
    ("$5", [F(5)]),
]


def check_planted(tokenize):
    for text, expected in PLANTED:
        found = [t.text if t.value is None else t.value for t in tokenize(text)]
        assert found == expected, text


def test_planted_tokens():
    check_planted(tokenize)


def test_planted_commas_that_always_group(monkeypatch):
    real = tokens._number
    monkeypatch.setattr(tokens, "_number", lambda text, at, depth: real(text, at, 0))
    with pytest.raises(AssertionError):
        check_planted(tokenize)


@pytest.mark.parametrize("text", ["\x00", "1" * 5000, "\\text{open", "9" * 2500, "+ " * 1900])
def test_unreadable(text):
    with pytest.raises(Unreadable):
        tokenize(text)


def test_an_exponent_of_more_than_400_is_no_numeral():
    assert tokenize("1e400")[0].value == F(10**400)
    with pytest.raises(Unreadable, match="digits"):
        tokenize("1e401")
