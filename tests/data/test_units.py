"""Units, against their definitions."""

from fractions import Fraction as F

import pytest

from burnish.data.math import units as module
from burnish.data.math.units import combined, units

DEFINED = {
    "mile": F(1609344, 1000), "yard": F(9144, 10000), "km": F(1000), "mg": F(1, 1000),
    "hour": F(3600), "liter": F(1, 1000), "pound": F(45359237, 100000), "cents": F(1, 100),
}  # fmt: skip


def check_defined(units):
    assert {name: units()[name][0] for name in DEFINED} == DEFINED


def test_factors_are_the_defined_ones():
    check_defined(units)


def test_planted_short_mile(monkeypatch):
    units.cache_clear()
    monkeypatch.setitem(module._LENGTHS, "mile", F(1600))
    with pytest.raises(AssertionError):
        check_defined(units)
    monkeypatch.undo()
    units.cache_clear()


def test_products_of_units():
    assert combined([("km", 1), ("h", -1)]) == (F(5, 18), (("m", 1), ("s", -1)))
    assert combined([("cm", 1), ("m", -1)]) == (F(1, 100), ())
    assert combined([("bananas", 1)]) is None
