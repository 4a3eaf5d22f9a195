"""Exact rational values of trees, with bounds on what is computed."""

import math
from fractions import Fraction

from burnish.data.math.descent import Tree

MAX_BITS = 65_536
MAX_FACTORIAL = 5_000
MAX_TERMS = 10_000


def exact(tree: Tree, known: dict[str, Fraction] | None = None) -> Fraction | None:
    """The rational value of a tree; None where it has none that can be computed within bounds.

    `known` holds the values of variables, such as the index of a sum.
    Source: ours. Oracle: tests/data/test_exact.py::test_values_equal_pythons_own
    """
    kind = tree[0]
    if kind == "num":
        return tree[1]
    if kind == "var":
        return known.get(tree[1]) if known else None
    if kind == "add":
        return _folded(tree[1], known, add=True)
    if kind == "mul":
        return _folded(tree[1], known, add=False)
    if kind == "pow":
        return _power(tree[1], tree[2], known)
    if kind == "fn":
        return _function(tree[1], tree[2], known)
    return _series(tree, known) if kind == "big" else None


def _bits(value: Fraction) -> int:
    return value.numerator.bit_length() + value.denominator.bit_length()


def _folded(
    parts: tuple[Tree, ...], known: dict[str, Fraction] | None, *, add: bool
) -> Fraction | None:
    total = Fraction(0 if add else 1)
    for part in parts:
        value = exact(part, known)
        if value is None:
            return None
        total = total + value if add else total * value
        if _bits(total) > MAX_BITS:
            return None
    return total


def _power(base_tree: Tree, power_tree: Tree, known: dict[str, Fraction] | None) -> Fraction | None:
    power = exact(power_tree, known)
    if power is None:
        return None
    base = exact(base_tree, known)
    if base is None:
        return None
    if base == 0:
        return Fraction(0) if power > 0 else None
    if power.denominator == 1:
        if abs(power.numerator) * (_bits(base) - 1) > MAX_BITS and abs(base) != 1:
            return None
        return base ** (power.numerator % 2 if abs(base) == 1 else power.numerator)
    if base < 0:
        return None  # the principal root is complex
    top, bottom = (
        _root(base.numerator, power.denominator),
        _root(base.denominator, power.denominator),
    )
    if top is None or bottom is None:
        return None
    return _power(("num", Fraction(top, bottom)), ("num", Fraction(power.numerator)), None)


def _root(number: int, index: int) -> int | None:
    """The whole root of a natural number, None where it has none."""
    if number in (0, 1):
        return number
    if index > number.bit_length():
        return None
    if index == 2:
        root = math.isqrt(number)
        return root if root * root == number else None
    low, high = 1, 1 << (number.bit_length() // index + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**index <= number else (low, middle - 1)
    return low if low**index == number else None


def _function(
    name: str, arguments: tuple[Tree, ...], known: dict[str, Fraction] | None
) -> Fraction | None:
    values = [exact(argument, known) for argument in arguments]
    if any(value is None for value in values):
        return None
    given = [value for value in values if value is not None]
    one, whole = given[0], all(value.denominator == 1 for value in given)
    if name == "factorial":
        return Fraction(math.factorial(int(one))) if whole and 0 <= one <= MAX_FACTORIAL else None
    if name == "binomial":
        top, bottom = given
        small = whole and bottom >= 0 and 0 <= top <= MAX_FACTORIAL
        return Fraction(math.comb(int(top), int(bottom))) if small else None
    if name in ("gcd", "lcm"):
        return Fraction(getattr(math, name)(*map(int, given))) if whole else None
    plain = {"abs": lambda: abs(one), "floor": lambda: Fraction(math.floor(one)),
             "ceil": lambda: Fraction(math.ceil(one)), "max": lambda: max(given),
             "min": lambda: min(given), "degrees": lambda: one}  # fmt: skip
    return plain[name]() if name in plain else None


def _series(tree: Tree, known: dict[str, Fraction] | None) -> Fraction | None:
    """A short sum or product with whole bounds."""
    _, kind, name, low_tree, high_tree, body = tree
    low, high = exact(low_tree, known), exact(high_tree, known)
    if kind == "int" or low is None or high is None:
        return None
    if low.denominator != 1 or high.denominator != 1 or high - low > MAX_TERMS:
        return None
    total = Fraction(0 if kind == "sum" else 1)
    for index in range(int(low), int(high) + 1):
        value = exact(body, {**(known or {}), name: Fraction(index)})
        if value is None:
            return None
        total = total + value if kind == "sum" else total * value
        if _bits(total) > MAX_BITS:
            return None
    return total
