"""The evidence ledger: which spans of a row match an item, where, and in which view."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from burnish.curate.samples import Sample, Turn
from burnish.curate.tokens import CODE
from burnish.curate.views import View

MAX_SPANS = 4
MAX_TEXT = 240
LEAST_CHARACTERS = 12
SPACE = re.compile(r"\s+")


def spans_of(sample: Sample, view: View, item: int) -> list[dict[str, Any]]:
    """The longest spans of a row that an item's references contain, with message and position.

    `message` is the index in the row's own list of messages; `start` and `end` count the
    characters of that message as it stands.
    Source: ours. Oracle: tests/curate/test_evidence.py::test_spans_are_where_they_say
    """
    if view.name == "words":
        return []
    own = _grams_of(view, item)
    found = [span for turn in sample.turns for span in _spans(turn, view, own)]
    found.sort(key=lambda span: (span["start"] - span["end"], span["message"], span["start"]))
    return found[:MAX_SPANS]


def _grams_of(view: View, item: int) -> np.ndarray:
    """Which grams of the index occur in the item."""
    of_item = np.flatnonzero(view.owners == item)
    grams = np.repeat(np.arange(view.index.num_grams), np.diff(view.index.ends))
    own = np.zeros(max(view.index.num_grams, 1), dtype=bool)
    own[grams[np.isin(view.index.items, of_item)]] = True
    return own


def _spans(turn: Turn, view: View, own: np.ndarray) -> list[dict[str, Any]]:
    ids, places = _placed(turn.text, view)
    begins, sizes, grams = view.index.places(ids)
    covered = np.zeros(len(ids) + 1, dtype=np.int64)
    kept = own[grams] if len(grams) else np.zeros(0, dtype=bool)
    np.add.at(covered, begins[kept], 1)
    np.add.at(covered, begins[kept] + sizes[kept], -1)
    inside = np.concatenate([[False], np.cumsum(covered)[:-1] > 0, [False]])
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    found = []
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        start, end = int(places[first][0]), int(places[last - 1][1])
        if end - start >= LEAST_CHARACTERS:
            text = turn.text[start:end][:MAX_TEXT]
            found.append({"view": view.name, "message": turn.index, "start": start, "end": end,
                          "text": text})  # fmt: skip
    return found


def _placed(text: str, view: View) -> tuple[np.ndarray, Sequence[tuple[int, int]]]:
    """Token ids of a text and the position of each."""
    if view.name == "code":
        return view.tokenize(text), [m.span() for m in CODE.finditer(text)]
    pieces: list[int] = []
    places: list[tuple[int, int]] = []
    for match in re.finditer(r"\s+|\S", text):
        blank = match[0].isspace()
        if blank and (not places or match.end() == len(text)):
            continue
        code = view.tokenize(f"{match[0]}") if not blank else np.array([ord(" ")])
        pieces += code.tolist()
        places += [match.span()] * len(code)
    return np.array(pieces, dtype=np.int64), places
