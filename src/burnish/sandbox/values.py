"""Results of calls, as the judge inside shows them, compared with what a problem expects."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

RELATIVE = 1e-9  # results that are floats may differ by this much
WHOLE = 2**53  # floats below it hold every integer


@dataclass(frozen=True, kw_only=True)
class Unordered:
    """The items of a set, which JSON writes as a list in any order."""

    items: tuple[Any, ...]


def read_shown(data: Any) -> Any:
    """The value of the tagged JSON that `guard/inside.py` writes."""
    if not isinstance(data, list):
        return data
    tag, held = data
    if tag == "x":
        return int(held, 16)
    if tag == "l":
        return [read_shown(v) for v in held]
    if tag == "s":
        return Unordered(items=tuple(read_shown(v) for v in held))
    if tag == "d":
        return {_key(read_shown(k)): read_shown(v) for k, v in held}
    return held


def same_value(value: Any, expected: Any) -> bool:
    """Whether a call returned what was expected; only floats may differ, by rounding.

    Both are plain JSON data, so no comparison of theirs runs the tested code's own.
    Source: ours. Oracle: tests/sandbox/test_values.py::test_values_are_compared_by_kind
    """
    if isinstance(value, bool) or isinstance(expected, bool):
        return value is expected
    if isinstance(value, int | float) and isinstance(expected, int | float):
        return _same_number(value, expected)
    if isinstance(value, Unordered):
        return isinstance(expected, list | tuple) and _same_items(value.items, list(expected))
    if isinstance(value, list) and isinstance(expected, list | tuple):
        pairs = zip(value, expected, strict=False)
        return len(value) == len(expected) and all(same_value(a, b) for a, b in pairs)
    if isinstance(value, dict) and isinstance(expected, dict):
        wanted = {_key(k): v for k, v in expected.items()}
        same = value.keys() == wanted.keys()
        return same and all(same_value(value[key], wanted[key]) for key in value)
    return type(value) is type(expected) and value == expected


def _same_number(value: float, expected: float) -> bool:
    pair = (value, expected)
    if any(isinstance(x, float) and not math.isfinite(x) for x in pair):
        both = all(isinstance(x, float) and math.isnan(x) for x in pair)
        return both or value == expected
    exact = [x for x in pair if isinstance(x, int)]
    whole = all(x == int(x) for x in pair)
    if len(exact) == 2 or (exact and whole and max(map(abs, pair)) < WHOLE):
        return value == expected
    try:
        return value == expected or math.isclose(value, expected, rel_tol=RELATIVE)
    except OverflowError:
        return False  # an integer beyond all floats


def _same_items(items: Sequence[Any], expected: list[Any]) -> bool:
    """Whether the elements of a set are those of a list: first by their text, the rest in pairs."""
    if len(items) != len(expected):
        return False
    texts: dict[str, list[Any]] = {}
    for other in expected:
        texts.setdefault(_text(other), []).append(other)
    left = [item for item in items if not (found := texts.get(_text(item))) or not found.pop()]
    rest = [other for found in texts.values() for other in found]
    for item in left:
        place = next((i for i, other in enumerate(rest) if same_value(item, other)), None)
        if place is None:
            return False
        del rest[place]
    return True


def _key(key: Any) -> str:
    """A key of a dictionary, as JSON has it."""
    return key if isinstance(key, str) else json.dumps(_plain(key))


def _text(value: Any) -> str:
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, Unordered):
        return sorted((_plain(v) for v in value.items), key=repr)
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    huge = isinstance(value, int) and abs(value) > WHOLE
    return hex(value) if huge else value
