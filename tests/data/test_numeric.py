"""Values to many digits, against sympy's own verdict on random pairs."""

from fractions import Fraction

import pytest

from burnish.data.math import numeric
from burnish.data.math.expressions import read_expression
from burnish.data.math.numeric import DIGITS, Absorbed, Undefined, digits_for, fingerprint

PAIRS = [
    ("\\sqrt{5+2\\sqrt{6}}", "\\sqrt{2}+\\sqrt{3}"), ("\\sin 2x", "2\\sin x\\cos x"),
    ("\\sqrt{x^2}", "x"), ("\\frac{x^2-1}{x-1}", "x+1"),
    ("e^{\\pi\\sqrt{163}}", "262537412640768744"),
    ("\\ln 8", "3\\ln 2"), ("\\sqrt[3]{2}", "\\sqrt{2}"), ("(x+1)^3", "x^3+3x^2+3x+1"),
    ("\\cos x", "\\sin x"), ("n(n-1)!", "n!"), ("\\sqrt{10^{30}+1}", "\\sqrt{10^{30}+2}"),
    ("e^{i\\pi}", "-1"),
    ("\\frac{1}{2^{99}}+\\pi-\\pi", "\\frac{1}{2^{98}}"),
]  # fmt: skip


def check_as_sympy(fingerprint):
    sympy = pytest.importorskip("sympy")
    from burnish.data.math.worker import _to_sympy

    for one, other in PAIRS:
        trees = read_expression(one), read_expression(other)
        difference = sympy.simplify(_to_sympy(trees[0]) - _to_sympy(trees[1]))
        difference = sympy.nsimplify(sympy.gammasimp(sympy.expand_func(difference)))
        truth = sympy.N(difference, 60, chop=True) == 0 if difference.is_number else difference == 0
        assert (fingerprint(trees[0]) == fingerprint(trees[1])) == truth, (one, other)


def test_equal_exactly_when_sympy_says_so():
    check_as_sympy(fingerprint)


def test_planted_double_precision(monkeypatch):
    real = numeric.rounded
    monkeypatch.setattr(numeric, "rounded", lambda value, digits: real(value, 12))
    with pytest.raises(AssertionError):
        check_as_sympy(fingerprint)


def test_a_rational_value_is_known_as_one():
    assert fingerprint(read_expression("\\sin^2 x+\\cos^2 x")) == ("q", 1, 1)
    assert fingerprint(read_expression("\\log_2 8 / 7")) == ("q", 3, 7)
    assert numeric.snapped(numeric._context(150).mpc(0.25), 50) == Fraction(1, 4)


@pytest.mark.parametrize("text", ["1+e^{-e^{10}}", "10^{10^{10^{10}}}", "(10^{8})!+1"])
def test_what_digits_cannot_tell_is_absorbed(text):
    with pytest.raises(Absorbed):
        fingerprint(read_expression(text))


def test_no_value():
    with pytest.raises((Undefined, ZeroDivisionError)):
        fingerprint(read_expression("\\ln 0"))


def test_numbers_of_many_digits_are_compared_to_more_digits():
    one, large = Fraction(1, 3), Fraction(10**120, 3**250)  # 399 and 397 bits
    assert digits_for(("num", one)) == DIGITS
    assert digits_for(("num", large)) == 16 * DIGITS


def test_powers_of_zero():
    assert fingerprint(read_expression("\\sqrt{\\pi-\\pi}")) == ("q", 0, 1)
    for power in ("0", "-1", "i"):
        with pytest.raises(Undefined, match="zero to a power"):
            fingerprint(read_expression(f"(\\pi-\\pi)^{{{power}}}"))


def test_the_largest_of_one_is_itself():
    one, other = (fingerprint(read_expression(t)) for t in ("\\max(\\sqrt{2})", "\\sqrt{2}"))
    assert one == other


def test_points_of_a_variable():
    """Positive at the first point, and never where another name's is."""
    context = numeric._context(50)
    points = {(n, i): numeric.point_of(context, n, i) for n in "abcdefgh" for i in range(3)}
    assert len({str(p) for p in points.values()}) == len(points)
    assert all(0 < points[n, 0] < 3 for n in "abcdefgh")
    assert all(0.14 < abs(p) < 2.15 for p in points.values())  # from 1/7 to 2 + 1/7
    assert any(p < 0 for p in points.values())
