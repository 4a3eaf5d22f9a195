"""BM25 against its formula written out."""

import math

import pytest

from burnish.graph import bm25
from burnish.graph.bm25 import Bm25

TEXTS = ["the red fox", "the the dog", "a Fox and a fox", ""]


def check_formula():
    lengths = [3, 3, 5, 0]
    mean = sum(lengths) / 4

    def weight(count, length, holders):
        idf = math.log(1 + (4 - holders + 0.5) / (holders + 0.5))
        return idf * count * 2.5 / (count + 1.5 * (0.25 + 0.75 * length / mean))

    wanted = [
        weight(1, 3, 2) * 2 + weight(1, 3, 2), weight(2, 3, 2), 2 * weight(2, 5, 2), 0.0,
    ]  # fmt: skip
    found = Bm25(TEXTS).scores("fox the FOX unknown")
    assert found.tolist() == pytest.approx(wanted)


def test_equals_the_formula_written_out():
    check_formula()


def test_planted_length(monkeypatch):
    monkeypatch.setattr(bm25, "B", 0.0)
    with pytest.raises(AssertionError):
        check_formula()


def test_no_words_at_all():
    assert Bm25(["", ""]).scores("a").tolist() == [0.0, 0.0]
