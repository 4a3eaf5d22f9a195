"""Intervals, inequalities and their unions, as sorted disjoint pieces of the real line."""

from collections.abc import Sequence
from fractions import Fraction
from functools import cmp_to_key
from typing import Any

from burnish.data.math.descent import MINUS, Tree
from burnish.data.math.exact import exact
from burnish.data.math.expressions import parse, variables
from burnish.data.math.keys import equation_key, expression_key, rational_key, relation_key
from burnish.data.math.numeric import DIGITS, Absorbed, Key, Undefined, values_at_points
from burnish.data.math.tokens import Token, Unreadable

End = tuple[Any, Key]  # a value that orders, and its key
Piece = tuple[End, bool, End, bool]  # low, whether it belongs, high, whether it belongs

LOWEST: End = (float("-inf"), ("inf", -1))
HIGHEST: End = (float("inf"), ("inf", 1))
MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "!=": "!="}


def end(tree: Tree) -> End:
    """A bound. Raises: Unreadable, for one that is no real number."""
    key = expression_key(tree)
    if key[0] == "inf":
        return HIGHEST if key[1] > 0 else LOWEST
    if key[0] == "q":
        return Fraction(key[1], key[2]), key
    try:
        value = values_at_points(tree, DIGITS)[0]
    except (Absorbed, Undefined) as error:
        raise Unreadable("a bound has no value") from error
    if value.imag != 0 or variables(tree):
        raise Unreadable("a bound is no real number")
    return value.real, key


def bracketed(tokens: Sequence[Token], parts: Sequence[Sequence[Token]]) -> tuple[str, Key] | None:
    """Type and key of an interval; None where the bracket is a tuple of other things.

    `(1, 2)` is a pair and an open interval at once: both have the key of the tuple.
    """
    closed = tokens[0].text == "[", tokens[-1].text == "]"
    try:
        low, high = (end(parse(part)) for part in parts)
    except Unreadable:
        return None
    if not ordered(low, high):
        if not any(closed):
            return "tuple", ("tuple", (low[1], high[1]))
        return ("interval", ("set", frozenset())) if low[1] != high[1] else None
    key = region_key([(low, closed[0], high, closed[1])])
    return "tuple" if key[0] == "tuple" else "interval", key


def ordered(low: End, high: End) -> bool:
    """Whether one bound is below another; equal keys are equal bounds."""
    return low[1] != high[1] and _number(low[0]) < _number(high[0])


def _number(value: Any) -> Any:
    if isinstance(value, Fraction):
        import mpmath

        return mpmath.mpf(value.numerator) / value.denominator
    return value


def region_key(pieces: Sequence[Piece]) -> Key:
    """The key of a union of pieces.

    Source: ours. Oracle: tests/data/test_regions.py::test_unions_equal_membership_of_points
    """
    import mpmath

    with mpmath.workdps(2 * DIGITS):
        merged = _merged(pieces)
    if not merged:
        return ("set", frozenset())
    if all(low[1] == high[1] for low, _, high, _ in merged):
        return ("set", frozenset(low[1] for low, _, _, _ in merged))
    if len(merged) == 1:
        (low, low_in, high, high_in) = merged[0]
        finite = low is not LOWEST and high is not HIGHEST
        if finite and not low_in and not high_in:
            return ("tuple", (low[1], high[1]))
    return ("region", tuple((low[1], a, high[1], b) for low, a, high, b in merged))


def _merged(pieces: Sequence[Piece]) -> list[Piece]:
    def first(one: Piece, other: Piece) -> int:
        if one[0][1] == other[0][1]:
            return other[1] - one[1]
        return -1 if ordered(one[0], other[0]) else 1

    merged: list[Piece] = []
    for low, low_in, high, high_in in sorted(pieces, key=cmp_to_key(first)):
        if ordered(high, low) or (low[1] == high[1] and not (low_in and high_in)):
            continue  # empty
        if merged:
            last_low, last_in, last_high, last_high_in = merged[-1]
            touch = last_high[1] == low[1] and (last_high_in or low_in)
            if ordered(low, last_high) or touch:
                if ordered(last_high, high):
                    merged[-1] = (last_low, last_in, high, high_in)
                elif last_high[1] == high[1]:
                    merged[-1] = (last_low, last_in, high, high_in or last_high_in)
                continue
        merged.append((low, low_in, high, high_in))
    return merged


def pieces_of(key: Key) -> list[Piece]:
    """The pieces that a key stands for. Raises: Unreadable, for a key of anything else."""
    if key[0] == "tuple" and len(key[1]) == 2:
        return [(_end_of(key[1][0]), False, _end_of(key[1][1]), False)]
    if key[0] == "region":
        return [(_end_of(low), a, _end_of(high), b) for low, a, high, b in key[1]]
    if key[0] == "set":
        return [(_end_of(one), True, _end_of(one), True) for one in key[1]]
    raise Unreadable("a part of the union is no interval")


def _end_of(key: Key) -> End:
    if key[0] == "inf":
        return HIGHEST if key[1] > 0 else LOWEST
    if key[0] == "q":
        return Fraction(key[1], key[2]), key
    if key[0] != "n":
        raise Unreadable("a bound is no real number")
    import mpmath

    return mpmath.mpf(key[3][0]), key


def combine(keys: Sequence[Key], *, union: bool) -> Key:
    """The key of the union, or of the intersection, of regions."""
    if union:
        return region_key([piece for key in keys for piece in pieces_of(key)])
    found = pieces_of(keys[0])
    for key in keys[1:]:
        found = [_common(one, other) for one in found for other in pieces_of(key)]
    return region_key(found)


def _common(one: Piece, other: Piece) -> Piece:
    low, low_in = (one[0], one[1] and other[1])
    if one[0][1] != other[0][1]:
        low, low_in = (other[0], other[1]) if ordered(one[0], other[0]) else (one[0], one[1])
    high, high_in = (one[2], one[3] and other[3])
    if one[2][1] != other[2][1]:
        high, high_in = (one[2], one[3]) if ordered(one[2], other[2]) else (other[2], other[3])
    return low, low_in, high, high_in


def relations(sides: Sequence[Tree], signs: Sequence[str]) -> Key:
    """The key of a chain of inequalities: a region where one unknown is bounded."""
    names = set[str]().union(*(variables(side) for side in sides))
    if len(names) == 1:
        found = [
            _solved(a, sign, b, *names) for a, sign, b in zip(sides, signs, sides[1:], strict=False)
        ]
        if all(one is not None for one in found):
            return combine([one for one in found if one is not None], union=False)
    if len(sides) != 2:
        raise Unreadable("a chain of inequalities is not of one unknown")
    left, right, sign = sides[0], sides[1], signs[0]
    if sign == "!=":
        return ("unequal", *equation_key(left, right)[1:])
    if sign in (">", ">="):
        left, right = right, left
    return relation_key(left, right, strict=sign in ("<", ">"))


def _solved(left: Tree, sign: str, right: Tree, name: str) -> Key | None:
    """The region of one inequality that is linear in its unknown; None where it is not."""
    if right == ("var", name) and left != ("var", name):
        left, right, sign = right, left, MIRRORED[sign]
    if left == ("var", name) and not variables(right):
        return region_key(_pieces(sign, end(right)))
    difference: Tree = ("add", (left, ("mul", (MINUS, right))))
    if left[0] == "fn" and left[1] == "abs" and sign != "!=" and not variables(right):
        return _absolute(left[2][0], sign, right, name)
    line = _line(difference, name)
    if line is None:
        return None
    start, slope = line
    root = -start / slope
    return region_key(_pieces(sign if slope > 0 else MIRRORED[sign], (root, rational_key(root))))


def _absolute(inner: Tree, sign: str, right: Tree, name: str) -> Key | None:
    """`|u| < c` as `-c < u < c`, and `|u| > c` as one of two."""
    below = _solved(inner, MIRRORED[sign], ("mul", (MINUS, right)), name)
    above = _solved(inner, sign, right, name)
    if below is None or above is None:
        return None
    return combine([below, above], union=sign in (">", ">="))


def _line(tree: Tree, name: str) -> tuple[Fraction, Fraction] | None:
    """Start and slope of a tree that is linear in `name` at points of either sign."""
    points = [Fraction(point) for point in (0, 1, -7, -3, 2, 5, 11)]
    values = [exact(tree, {name: point}) for point in points]
    given = [value for value in values if value is not None]
    if len(given) < len(points):
        return None
    start, slope = given[0], given[1] - given[0]
    straight = all(y == start + slope * x for x, y in zip(points, given, strict=True))
    return (start, slope) if straight and slope else None


def _pieces(sign: str, bound: End) -> list[Piece]:
    below, above = (LOWEST, False, bound, sign == "<="), (bound, sign == ">=", HIGHEST, False)
    return {"<": [below], "<=": [below], ">": [above], ">=": [above]}.get(sign, [below, above])
