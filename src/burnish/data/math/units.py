"""Units of measurement: what each is worth in the base units of its kind."""

import functools
from collections.abc import Mapping
from fractions import Fraction

F = Fraction
Unit = tuple[Fraction, tuple[tuple[str, int], ...]]  # factor, and powers of the base units
MASS_LBS = F(45359237, 100000)  # grams, exact by definition

_LENGTHS = {
    "m": F(1), "meter": F(1), "metre": F(1), "inch": F(254, 10000), "inches": F(254, 10000),
    "foot": F(3048, 10000), "feet": F(3048, 10000), "ft": F(3048, 10000), "yard": F(9144, 10000),
    "yd": F(9144, 10000), "mile": F(1609344, 1000), "mi": F(1609344, 1000),
}  # fmt: skip
_MASSES = {
    "g": F(1), "gram": F(1), "lb": MASS_LBS, "lbs": MASS_LBS, "pound": MASS_LBS,
    "oz": MASS_LBS / 16, "ounce": MASS_LBS / 16, "tonne": F(10**6),
}  # fmt: skip
_TIMES = {
    "s": F(1), "sec": F(1), "second": F(1), "min": F(60), "mins": F(60), "minute": F(60),
    "h": F(3600), "hr": F(3600), "hrs": F(3600), "hour": F(3600), "day": F(86400),
    "week": F(604800),
}  # fmt: skip
_VOLUMES = {"l": F(1, 1000), "L": F(1, 1000), "liter": F(1, 1000), "litre": F(1, 1000)}
_PREFIXES = {"k": F(1000), "c": F(1, 100), "m": F(1, 1000), "d": F(1, 10)}
_LONG_PREFIXES = {"kilo": F(1000), "centi": F(1, 100), "milli": F(1, 1000), "deci": F(1, 10)}
_COUNTS = {
    "dollar": F(1), "cent": F(1, 100), "percent": F(1, 100), "degree": F(1), "dozen": F(12),
}  # fmt: skip
_OWN = (
    "\u20ac", "\u00a3", "\u00a5", "\u20b9", "euro", "yen", "rupee", "radian", "year", "month",
    "joule", "newton", "watt", "volt", "ampere", "kelvin",
)  # fmt: skip


@functools.cache
def units() -> Mapping[str, Unit]:
    """Every unit by its name. Dollars, degrees and counted things are pure numbers.

    Source: the international yard and pound of 1959; SI prefixes.
    Oracle: tests/data/test_units.py::test_factors_are_the_defined_ones
    """
    table: dict[str, Unit] = {}
    for names, base, power in (
        (_LENGTHS, "m", 1), (_MASSES, "g", 1), (_TIMES, "s", 1), (_VOLUMES, "m", 3)
    ):  # fmt: skip
        for name, factor in names.items():
            table[name] = (factor, ((base, power),))
    for name in ("m", "g", "l", "L"):
        factor, powers = table[name]
        table |= {p + name: (factor * size, powers) for p, size in _PREFIXES.items()}
    for name in ("meter", "metre", "gram", "liter", "litre"):
        factor, powers = table[name]
        table |= {p + name: (factor * size, powers) for p, size in _LONG_PREFIXES.items()}
    table["ms"] = (F(1, 1000), (("s", 1),))
    table |= {name: (factor, ()) for name, factor in _COUNTS.items()}
    table |= {name: (F(1), ((name, 1),)) for name in _OWN}
    table["rad"] = table["radian"]
    hour, mile = table["hour"][0], table["mile"][0]
    table["mph"] = (mile / hour, (("m", 1), ("s", -1)))
    table["kph"] = (F(1000) / hour, (("m", 1), ("s", -1)))
    plurals = {f"{name}s": unit for name, unit in table.items() if len(name) > 2}
    return {**plurals, **table}


def combined(parts: list[tuple[str, int]]) -> Unit | None:
    """The unit that a product of powers of named units is; None where one is not known."""
    factor, powers = F(1), dict[str, int]()
    for name, power in parts:
        unit = units().get(name)
        if unit is None:
            return None
        factor *= unit[0] ** power
        for base, exponent in unit[1]:
            powers[base] = powers.get(base, 0) + exponent * power
    return factor, tuple(sorted((base, power) for base, power in powers.items() if power))
