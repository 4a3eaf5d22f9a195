"""Hashed grams against sets of tuples."""

import numpy as np
import pytest

from burnish.base.rng import stream
from burnish.curate import grams
from burnish.curate.grams import GramIndex, Keys, Stream, fold


def tuples(tokens, n):
    return {
        tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1) if 0 not in tokens[i : i + n]
    }


def random_texts(seed, num, most=23):
    rng = stream(seed, "texts")
    return [rng.integers(0, 7, size=int(rng.integers(0, most))) for _ in range(num)]


def check_matches():
    items, rows = random_texts(1, 11), random_texts(2, 31)
    index = GramIndex({n: Stream.of(items) for n in (2, 3)}, len(items))
    item_sets = [tuples(t.tolist(), 2) | tuples(t.tolist(), 3) for t in items]
    row_sets = [tuples(t.tolist(), 2) | tuples(t.tolist(), 3) for t in rows]
    assert index.sizes.tolist() == [len(s) for s in item_sets]
    owners, found = index.match(Stream.of(rows))
    shares = np.zeros((len(rows), index.num_grams))
    shares[owners, found] = 1
    shared = shares @ index.matrix().toarray().T
    assert shared.tolist() == [[len(r & i) for i in item_sets] for r in row_sets]


def test_matches_equal_set_intersections(monkeypatch):
    check_matches()
    monkeypatch.setattr(grams, "TABLE_SIZE", 0)
    check_matches()


def test_planted_grams_that_cross_texts(monkeypatch):
    """Texts joined without a gap: grams of two neighbours would match."""

    def joined(texts):
        owners = np.repeat(np.arange(len(texts)), [len(t) for t in texts])
        return Stream(np.concatenate(texts), owners)

    monkeypatch.setattr(Stream, "of", joined)
    with pytest.raises(AssertionError):
        check_matches()


def test_planted_hash_without_order(monkeypatch):
    monkeypatch.setattr(grams, "MULTIPLIER", np.uint64(1))
    with pytest.raises(AssertionError):
        check_matches()


def test_folded_grams_are_equal_exactly_when_tokens_are():
    tokens = stream(3, "tokens").integers(0, 4, size=301)
    places, hashes = fold(tokens, 3)
    by_hash = {}
    for place, value in zip(places, hashes, strict=True):
        by_hash.setdefault(int(value), set()).add(tuple(tokens[place : place + 3].tolist()))
    assert all(len(some) == 1 for some in by_hash.values())
    assert {t for some in by_hash.values() for t in some} == tuples(tokens.tolist(), 3)


@pytest.mark.parametrize("bits", [0, 4, 21])
def test_keys_are_found_exactly(monkeypatch, bits):
    """Few bits: many keys share a place of the table."""
    monkeypatch.setattr(grams, "TABLE_BITS", max(bits, 1))
    rng = stream(5, "keys")
    values = np.unique(rng.integers(0, 1 << 64, 47, np.uint64))
    values = np.append(values, [values[-1] + np.uint64(1)])
    wanted = np.concatenate([values[::3], values[:9] + np.uint64(1), values[-2:]])
    places, at = Keys(values).find(wanted)
    truth = [(i, values.tolist().index(x)) for i, x in enumerate(wanted.tolist()) if x in values]
    assert list(zip(places.tolist(), at.tolist(), strict=True)) == truth


def test_places_of_a_text():
    index = GramIndex({2: Stream.of([np.array([1, 2, 3])])}, 1)
    places, sizes, _ = index.places(np.array([9, 1, 2, 0, 2, 3]))
    assert (places.tolist(), sizes.tolist()) == ([1, 4], [2, 2])


def test_an_empty_index_matches_nothing():
    index = GramIndex({5: Stream.of([np.array([1, 2])])}, 1)
    owners, found = index.match(Stream.of([np.array([1, 2, 1, 2, 1, 2])]))
    assert (index.num_grams, len(owners), len(found)) == (0, 0, 0)
