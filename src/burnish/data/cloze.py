"""Easy questions with a few possible ends, which show what a small model has forgotten."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from burnish.base.rng import derive_seed

KINDS = {
    "animal": ("horse", "cow", "tiger", "rabbit", "eagle", "shark", "goat", "mouse", "whale"),
    "fruit": ("apple", "banana", "cherry", "grape", "lemon", "mango", "peach", "pear", "plum"),
    "tool": ("hammer", "saw", "drill", "wrench", "shovel", "axe", "screwdriver", "rake"),
    "country": ("France", "Brazil", "Japan", "Egypt", "Canada", "India", "Kenya", "Norway"),
    "month": ("January", "March", "April", "June", "July", "August", "October", "December"),
}
THINGS = ("kite", "cup", "hat", "ball", "bike", "book", "scarf", "lamp", "chair", "bag", "door",
          "river", "bread", "stone", "paper", "clock", "window", "garden")  # fmt: skip
NUM_LISTED = 6


@dataclass(frozen=True, kw_only=True)
class Cloze:
    """A text and its possible ends, of which `answer` is right; every end begins with a space."""

    family: str
    text: str
    answer: str
    ends: tuple[str, ...]


def kind(draw: random.Random) -> Cloze:
    """The kind of thing that a word names; chance is 1/4."""
    kinds = draw.sample(sorted(KINDS), 4)
    text = f'The word "{draw.choice(KINDS[kinds[0]])}" is the name of a'
    return _cloze("kind", text, kinds[0], sorted(kinds))


def series(draw: random.Random) -> Cloze:
    """A third word of a kind, or one of another; chance is 1/2."""
    own, other = draw.sample(sorted(KINDS), 2)
    one, two, three = draw.sample(KINDS[own], 3)
    return _cloze("series", f"{one}, {two},", three, sorted([three, draw.choice(KINDS[other])]))


def repeat(draw: random.Random) -> Cloze:
    """The next word of a list that is said twice; chance is 1/6."""
    listed: list[str] = draw.sample(THINGS, NUM_LISTED)
    said = draw.randrange(1, NUM_LISTED)
    text = f"{', '.join(listed)}. Once more, in the same order: {', '.join(listed[:said])},"
    return _cloze("repeat", text, listed[said], listed)


FAMILIES: dict[str, Callable[[random.Random], Cloze]] = {
    "kind": kind,
    "series": series,
    "repeat": repeat,
}


def draw_cloze(family: str, num: int, *, seed: int) -> list[Cloze]:
    """So many questions of a family, distinct ones as far as there are any.

    Source: ours. Oracle: tests/data/test_cloze.py::test_questions_have_one_right_end
    """
    draw = random.Random(derive_seed(seed, "cloze", family))
    found: dict[tuple[str, tuple[str, ...]], Cloze] = {}
    for _ in range(20 * num):
        one = FAMILIES[family](draw)
        found.setdefault((one.text, one.ends), one)
        if len(found) == num:
            break
    return list(found.values())


def _cloze(family: str, text: str, answer: str, ends: list[str]) -> Cloze:
    return Cloze(
        family=family, text=text, answer=f" {answer}", ends=tuple(f" {end}" for end in ends)
    )
