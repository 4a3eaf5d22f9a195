"""The canonical key of an expression: exact where it is rational, digits or structure elsewhere."""

from fractions import Fraction
from typing import Any

from burnish.data.math.descent import Tree
from burnish.data.math.exact import exact
from burnish.data.math.expressions import variables
from burnish.data.math.numeric import (
    Absorbed,
    Key,
    Undefined,
    digits_for,
    fingerprint,
    rounded,
    values_at_points,
)
from burnish.data.math.symbolic import closed_form
from burnish.data.math.tokens import Unreadable

MAX_SIEVE = 10_000


def rational_key(value: Fraction) -> Key:
    """The key of a rational number."""
    return ("q", value.numerator, value.denominator)


def expression_key(tree: Tree) -> Key:
    """The key of an expression; two expressions are equal exactly when their keys are.

    Raises: Unreadable, for an expression without a value; Unresolved, where the symbolic worker
    was stopped.
    Source: ours. Oracle: tests/data/test_keys.py::test_keys_are_equal_exactly_for_equal_values
    """
    value = exact(tree)
    if value is not None:
        return rational_key(value)
    if tree == ("const", "inf"):
        return ("inf", 1)
    if tree in (("mul", (("num", Fraction(-1)), ("const", "inf"))),):
        return ("inf", -1)
    if _has_big(tree):
        tree = closed_form(tree)
    try:
        return fingerprint(tree)
    except Absorbed:
        return ("s", structure(tree))
    except Undefined as error:
        raise Unreadable(f"the expression has no value: {error}") from error
    except (ValueError, OverflowError, ZeroDivisionError, ArithmeticError) as error:
        raise Unreadable(f"the expression has no value: {type(error).__name__}") from error


def equation_key(left: Tree, right: Tree) -> Key:
    """The key of `left = right`, the same for every multiple of the difference."""
    return ("equation", *_ratios(left, right))


def relation_key(left: Tree, right: Tree, *, strict: bool) -> Key:
    """The key of `left < right` (or `<=`), the same for every positive multiple."""
    return ("relation", strict, *_ratios(left, right, signed=True))


def _ratios(left: Tree, right: Tree, *, signed: bool = False) -> tuple[Any, ...]:
    tree: Tree = ("add", (left, ("mul", (("num", Fraction(-1)), right))))
    if _has_big(tree):
        tree = closed_form(tree)
    if not signed:  # xy = 1 and y = 1/x are one equation
        tree = ("mul", (tree, *_denominators(tree)))
    try:
        digits = digits_for(tree)
        values = values_at_points(tree, digits, num_points=4)
    except Absorbed:
        return ("s", structure(tree))
    except (Undefined, ValueError, OverflowError, ArithmeticError) as error:
        raise Unreadable(f"the equation has no value: {error}") from error
    first = next((value for value in values if value != 0), None)
    if first is None:
        return ("identity",)
    scale = abs(first) if signed else first
    names = tuple(sorted(variables(tree)))
    return (digits, names, *(rounded(value / scale, digits) for value in values))


def _denominators(tree: Tree) -> list[Tree]:
    """What the terms of a sum are divided by, where it holds variables; each once."""
    found: dict[str, Tree] = {}
    for term in _flat(tree, "add") if tree[0] == "add" else [tree]:
        for factor in _flat(term, "mul") if term[0] == "mul" else [term]:
            power = exact(factor[2]) if factor[0] == "pow" else None
            if power is not None and power < 0 and variables(factor[1]):
                found[repr(factor)] = ("pow", factor[1], ("num", -power))
    return list(found.values())


def structure(tree: Tree) -> Key:
    """The tree with its commuting parts in order, constants folded and powers of primes joined."""
    value = exact(tree)
    if value is not None:
        return rational_key(value)
    kind = tree[0]
    if kind in ("add", "mul"):
        return (kind, *sorted((structure(part) for part in _flat(tree, kind)), key=repr))
    if kind == "pow":
        base, power = exact(tree[1]), exact(tree[2])
        if base is not None and power is not None and base.denominator == 1 and base > 1:
            factors = _factors(int(base))
            return ("mul", *((prime, str(count * power)) for prime, count in factors))
        return ("pow", structure(tree[1]), structure(tree[2]))
    if kind == "fn":
        return ("fn", tree[1], *(structure(part) for part in tree[2]))
    return tree


def _flat(tree: Tree, kind: str) -> list[Tree]:
    return [x for part in tree[1] for x in (_flat(part, kind) if part[0] == kind else [part])]


def _factors(number: int) -> list[tuple[int, int]]:
    """Prime factors found by trial, and the rest."""
    found, divisor = [], 2
    while divisor * divisor <= number and divisor < MAX_SIEVE:
        count = 0
        while number % divisor == 0:
            number, count = number // divisor, count + 1
        if count:
            found.append((divisor, count))
        divisor += 1
    return found + ([(number, 1)] if number > 1 else [])


def _has_big(tree: Any) -> bool:
    if not isinstance(tree, tuple) or not tree:
        return False
    return tree[0] == "big" or any(_has_big(part) for part in tree if isinstance(part, tuple))
