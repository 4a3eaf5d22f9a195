"""Units, against their definitions."""

from fractions import Fraction as F

import pytest

from burnish.data.math import units as module
from burnish.data.math.units import combined, units

DEFINED = {
    "mile": F(1609344, 1000), "yard": F(9144, 10000), "km": F(1000), "mg": F(1, 1000),
    "hour": F(3600), "liter": F(1, 1000), "pound": F(45359237, 100000), "cents": F(1, 100),
    "inch": F("0.0254"), "foot": F("0.3048"), "ft": F("0.3048"), "yd": F("0.9144"),
    "mi": F("1609.344"),
    "inches": F("0.0254"), "feet": F("0.3048"), "meter": F(1), "metre": F(1),
    "g": F(1),
    "gram": F(1),
    "lb": F("453.59237"), "lbs": F("453.59237"), "oz": F("28.349523125"),
    "ounce": F("28.349523125"),
    "tonne": F(1_000_000), "s": F(1), "sec": F(1), "second": F(1), "min": F(60), "mins": F(60),
    "minute": F(60), "h": F(3600), "hr": F(3600), "hrs": F(3600), "day": F(24 * 3600),
    "ms": F("0.001"),
    "week": F(7 * 24 * 3600), "l": F("0.001"), "L": F("0.001"), "litre": F("0.001"),
    "dm": F("0.1"),
    "cm": F("0.01"), "mm": F("0.001"), "kg": F(1000), "dL": F("0.0001"), "cl": F("0.00001"),
    "kilogram": F(1000), "decimeter": F("0.1"), "centimetre": F("0.01"),
    "millilitre": F("0.000001"),
    "dozen": F(12), "percent": F("0.01"), "degree": F(1), "dollar": F(1), "mph": F("0.44704"),
    "kph": F(1000, 3600),
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
