"""TLI against its definition, by brute force with sets of tuples."""

import pytest

from burnish.base.errors import SettingError
from burnish.base.rng import stream
from burnish.curate import tli as module
from burnish.curate.tli import TestLeakage, tli

WORDS = ["def", "return", "list", "of", "sum", "a", "b:", "x=1", "<start>", "Écris"]


def grams_of(text, lengths):
    words, found = text.split(), set()
    for n in lengths:
        marked = ["<start>"] * (n - 1) + words + ["<end>"] * (n - 1)
        found |= {tuple(marked[i : i + n]) for i in range(len(marked) - n + 1)}
    return found


def by_definition(rows, tests, lengths):
    """Mean over tests of the largest share of a test's grams in one row."""
    sets = [grams_of(row, lengths) for row in rows]
    best = []
    for test in tests:
        own = grams_of(test, lengths)
        best.append(max(len(own & some) / len(own) for some in sets))
    return sum(best) / len(best)


def texts(seed, num, least):
    rng = stream(seed, "tli")
    return [
        " \n".join(WORDS[i] for i in rng.integers(0, len(WORDS), int(rng.integers(least, 17))))
        for _ in range(num)
    ]


def check_definition():
    rows, tests = texts(1, 43, 0), texts(2, 13, 1)
    for lengths in ((4, 5), (2,), (1, 3)):
        assert tli(rows, tests, lengths) == pytest.approx(by_definition(rows, tests, lengths))


def test_equals_brute_force():
    check_definition()


def test_planted_row_as_denominator(monkeypatch):
    def swapped(self, rows):
        import numpy as np

        found = original(self, rows)
        sizes = np.array([len(grams_of(row, (4, 5))) for row in rows])
        return found * self.index.sizes / sizes[:, None]

    original = TestLeakage.shares
    monkeypatch.setattr(TestLeakage, "shares", swapped)
    with pytest.raises(AssertionError):
        check_definition()


def test_planted_marks_of_the_longest_grams_for_all(monkeypatch):
    def longest(self, words):
        streams = original(self, words)
        return dict.fromkeys(streams, streams[max(streams)])

    original = TestLeakage._streams
    monkeypatch.setattr(TestLeakage, "_streams", longest)
    with pytest.raises(AssertionError):
        check_definition()


def test_properties(monkeypatch):
    rows, tests = texts(3, 29, 1), texts(4, 7, 1)
    assert tli(tests, tests) == 1.0
    assert tli(rows[::-1], tests) == tli(rows, tests)
    assert 0 <= tli(rows[:9], tests) <= tli(rows, tests) <= 1
    monkeypatch.setattr(module, "BATCH_CHARACTERS", 1)
    assert tli(rows, tests) == pytest.approx(by_definition(rows, tests, (4, 5)))


def test_what_the_filter_leaves_has_no_larger_share():
    rows, tests = texts(5, 41, 1), texts(6, 11, 3)
    found = TestLeakage(tests)
    best = [share for batch in found.add(rows) for share in batch]
    kept = [row for row, share in zip(rows, best, strict=True) if share < 0.1]
    assert 0 < len(kept) < len(rows)
    left = TestLeakage(tests)
    assert max(share for batch in left.add(kept) for share in batch) < 0.1


def test_without_words_there_is_no_number():
    assert tli(["a b c"], ["", " \n"]) is None
    assert tli([], ["a"]) == 0.0
    with pytest.raises(SettingError):
        TestLeakage(["a"], ())
