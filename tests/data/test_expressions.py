"""Trees of expressions, by the values that they have."""

from fractions import Fraction as F

import pytest

from burnish.data.math import expressions
from burnish.data.math.exact import exact
from burnish.data.math.expressions import read_expression, variables
from burnish.data.math.tokens import Unreadable

VALUES = [
    ("2-1-1", F(0)), ("2^{3^2}", F(512)), ("-2^2", F(-4)), ("2(3)", F(6)), ("7\\frac12", F(15, 2)),
    ("8/2/2", F(2)), ("2*-3", F(-6)), ("(3!)!", F(720)), ("50%", F(1, 2)), ("|2-5|", F(3)),
    ("\\sqrt[3]{64}", F(4)), ("\\cfrac{1}{1+\\cfrac{1}{2}}", F(2, 3)), ("\\binom{5}{2}", F(10)),
    ("{5 \\choose 2}", F(10)), ("{2+3}", F(5)), ("\\lfloor 2.5 \\rfloor", F(2)),
    ("\\sum_{k=1}^{10} k", F(55)), ("\\lfloor 3.7 \\rfloor", F(3)), ("\\gcd(12,18)", F(6)),
    ("\\begin{vmatrix}1&2\\\\3&4\\end{vmatrix}", F(-2)), ("\\text{13}", F(13)),
]  # fmt: skip


def check_values(read):
    for text, value in VALUES:
        assert exact(read(text)) == value, text


def test_planted_values():
    check_values(read_expression)


def test_planted_powers_from_the_left(monkeypatch):
    real = expressions.Parser.exponent

    def short(self):
        power = real(self)
        return power[1] if power[0] == "pow" else power

    monkeypatch.setattr(expressions.Parser, "exponent", short)
    with pytest.raises(AssertionError):
        check_values(read_expression)


def test_letters_are_factors_and_bound_names_are_not_free():
    assert variables(read_expression("3xy^2 + \\pi e")) == {"x", "y"}
    assert variables(read_expression("\\sum_{k=1}^{n} k")) == {"n"}


@pytest.mark.parametrize("text", ["1 +", "(", "\\frac{3}{", "So we get", "2 3", "(" * 100, "\\foo"])
def test_unreadable(text):
    with pytest.raises(Unreadable):
        read_expression(text)


def test_an_argument_ends_at_a_sign_of_multiplication():
    cosine, two = ("fn", "cos", (("var", "x"),)), ("num", F(2))
    for text in ("\\cos x \\cdot 2", "\\cos x \\times 2", "\\cos x * 2"):
        assert read_expression(text) == ("mul", (cosine, two)), text
    assert read_expression("\\cos x y") == ("fn", "cos", (("mul", (("var", "x"), ("var", "y"))),))


def test_functions_may_be_words():
    for name in ("sin", "ln", "arctan"):
        assert read_expression(f"{name} x") == read_expression(f"\\{name} x")
    assert read_expression("e") != read_expression("i")
    assert exact(read_expression("0^3")) == 0
    assert exact(read_expression("0^0")) is None
