"""Packing: which examples share a row of training, so that few tokens of it stay empty."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from burnish.base.errors import InputError, SettingError

Item = TypeVar("Item")

WINDOW = 512  # examples sorted at a time: keeps the order random, and first-fit cheap


def pack(
    lengths: Sequence[int], capacity_tokens: int, *, rng: np.random.Generator
) -> list[list[int]]:
    """Return bins of example indices, each of at most `capacity_tokens` [tokens] in total.

    Every example is in exactly one bin. Examples are shuffled, cut into windows, and put into bins
    first-fit, longest first; the emptiest bin of a window stays open for the next, so at most one
    bin is half empty and there are at most twice as many as tokens / capacity demand. The order
    of bins is random.
    Raises: InputError, naming an example that is longer than the capacity; SettingError.
    Source: first-fit decreasing, Johnson 1973 ("Near-optimal bin packing algorithms").
    Departure: windows, so that what trains together changes with `rng`.
    Oracle: tests/data/test_packing.py::test_packing_keeps_its_promises
    """
    if capacity_tokens < 1:
        remedy = "Give the length of a training row"
        raise SettingError("capacity_tokens", capacity_tokens, "must be at least 1", remedy=remedy)
    for i, length in enumerate(lengths):
        if not 1 <= length <= capacity_tokens:
            rule = f"must have between 1 and {capacity_tokens} tokens"
            remedy = "Leave it out or cut it, or raise the capacity"
            raise InputError(f"example {i}", length, rule, remedy=remedy)
    order = rng.permutation(len(lengths)).tolist()
    done: list[list[int]] = []
    carried: list[int] = []
    for start in range(0, len(order), WINDOW):
        window = sorted(order[start : start + WINDOW], key=lambda i: -lengths[i])
        bins = _first_fit(window, lengths, capacity_tokens, carried)
        fill = [sum(lengths[i] for i in members) for members in bins]
        carried = bins.pop(fill.index(min(fill)))
        done += bins
    bins = [*done, carried] if carried else done
    return [bins[i] for i in rng.permutation(len(bins))]


def _first_fit(
    items: Sequence[int], lengths: Sequence[int], capacity_tokens: int, carried: list[int]
) -> list[list[int]]:
    bins = [carried] if carried else []
    room = [capacity_tokens - sum(lengths[i] for i in members) for members in bins]
    for item in items:
        number = next((n for n, free in enumerate(room) if lengths[item] <= free), len(bins))
        if number == len(bins):
            bins.append([])
            room.append(capacity_tokens)
        bins[number].append(item)
        room[number] -= lengths[item]
    return bins


def fill_passes(
    items: Iterable[Item], most_rows: int, *, rows_of: Callable[[Item], int]
) -> Iterator[list[Item]]:
    """As many items in a pass as fit, in their order; a larger one has a pass of its own.

    Source: ours. Oracle: tests/data/test_packing.py::test_passes_are_filled_in_order
    """
    some: list[Item] = []
    num_rows = 0
    for item in items:
        if some and num_rows + rows_of(item) > most_rows:
            yield some
            some, num_rows = [], 0
        some.append(item)
        num_rows += rows_of(item)
    if some:
        yield some
