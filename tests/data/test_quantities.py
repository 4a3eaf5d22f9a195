"""Quantities, against conversions by hand."""

from fractions import Fraction as F

import pytest

from burnish.data.math import quantities
from burnish.data.math.quantities import quantity
from burnish.data.math.tokens import tokenize

LENGTH, AREA = (("m", 1),), (("m", 2),)
PLANTED = [
    ("5 km", LENGTH, F(5000)), ("100 cm^2", AREA, F(1, 100)), ("100 cm^{2}", AREA, F(1, 100)),
    ("5\\text{ cm}^2", AREA, F(5, 10000)),
    ("3 square meters", AREA, F(3)), ("2 hours 30 minutes", (("s", 1),), F(9000)),
    ("60 km/h", (("m", 1), ("s", -1)), F(50, 3)), ("5 feet 6 inches", LENGTH, F(16764, 10000)),
    ("4000 ml", (("m", 3),), F(4, 1000)),
]  # fmt: skip
COUNTS = [("72 stamps", F(72)), ("75 cents", F(3, 4)), ("12 dollars", F(12)), ("5th", F(5))]


def check_planted(quantity):
    for text, powers, value in PLANTED:
        key = quantity(tokenize(text))[1]
        assert key == ("unit", powers, ("q", value.numerator, value.denominator)), text
    for text, value in COUNTS:
        assert quantity(tokenize(text))[2] == value, text


def test_planted_quantities():
    check_planted(quantity)


def test_planted_powers_that_are_dropped(monkeypatch):
    monkeypatch.setattr(quantities, "combined", lambda parts: units([(n, 1) for n, _ in parts]))
    units = __import__("burnish.data.math.units", fromlist=["combined"]).combined
    with pytest.raises(AssertionError):
        check_planted(quantity)


@pytest.mark.parametrize("text", ["5m", "2x", "7 not 8", "odd", "3 and 4"])
def test_no_quantity(text):
    assert quantity(tokenize(text)) is None


@pytest.mark.parametrize(
    ("one", "other", "powers"),
    [
        ("3\\sqrt{2} cm", "\\frac{3\\sqrt{2}}{100} m", LENGTH),
        ("2\\pi km^2", "2000000\\pi m^2", AREA),
    ],
)
def test_irrational_quantities_are_converted(one, other, powers):
    found, wanted = (quantity(tokenize(text)) for text in (one, other))
    assert found == wanted
    assert (found[0], found[1][:2], found[2]) == ("quantity", ("unit", powers), None)
