"""Hashed n-grams: streams of tokens of many texts, and an inverted index of few items."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int, Integer

MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
TABLE_BITS = 21
TABLE_SIZE = 1 << 26  # bytes


def mix(ids: Integer[np.ndarray, " T"]) -> Integer[np.ndarray, " T"]:
    """A fixed 64-bit value for every token id (splitmix64)."""
    x = ids.astype(np.uint64)
    with np.errstate(over="ignore"):
        x *= MULTIPLIER
        x += MULTIPLIER
        x ^= x >> np.uint64(30)
        x *= np.uint64(0xBF58476D1CE4E5B9)
        x ^= x >> np.uint64(27)
        x *= np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return x


def fold(ids: Integer[np.ndarray, " T"], n: int) -> tuple[np.ndarray, np.ndarray]:
    """Places and hashes of all n-grams without a token 0, which stands between texts.

    The hash is 64 bits wide: among a million grams on both sides, two collide with a chance of
    one in ten million.
    Source: polynomial hashing, Karp and Rabin 1987.
    Oracle: tests/curate/test_grams.py::test_folded_grams_are_equal_exactly_when_tokens_are
    """
    num = len(ids) - n + 1
    if num <= 0:
        return np.empty(0, np.int64), np.empty(0, np.uint64)
    known = np.ones(num, dtype=bool)
    gaps = np.flatnonzero(ids == 0)
    for k in range(n):
        begins = gaps - k
        known[begins[(begins >= 0) & (begins < num)]] = False
    values = mix(ids)
    hashes = np.full(num, np.uint64(n))
    with np.errstate(over="ignore"):
        for k in range(n):
            hashes *= MULTIPLIER
            hashes += values[k : k + num]
    places = np.flatnonzero(known)
    return places, hashes[places]


@dataclass(frozen=True)
class Stream:
    """Tokens of many texts in sequence, each followed by a 0; `owners` names each token's text."""

    ids: Int[np.ndarray, " T"]
    owners: Int[np.ndarray, " T"]

    @classmethod
    def of(cls, texts: Sequence[Int[np.ndarray, " M"]]) -> "Stream":
        """Join texts that are token ids already."""
        gap = np.zeros(1, np.int64)
        parts = [part for text in texts for part in (text, gap)]
        ids = np.concatenate(parts) if parts else np.zeros(0, np.int64)
        lengths = [len(text) + 1 for text in texts]
        return cls(ids, np.repeat(np.arange(len(texts)), lengths))


class GramIndex:
    """Which items contain which n-grams; matches whole batches of texts at once.

    `sizes[i]` is the number of distinct grams of item i.
    Source: ours. Oracle: tests/curate/test_grams.py::test_matches_equal_set_intersections
    """

    def __init__(self, streams: Mapping[int, Stream], num_items: int) -> None:
        """`streams` holds the items' tokens for every length of gram."""
        self.lengths = tuple(streams)
        owners, hashes = _grams(streams)
        order = np.lexsort((owners, hashes))
        owners, hashes = owners[order], hashes[order]
        fresh = np.ones(len(owners), dtype=bool)
        fresh[1:] = (owners[1:] != owners[:-1]) | (hashes[1:] != hashes[:-1])
        self.items, hashes = owners[fresh], hashes[fresh]
        self.keys, starts = np.unique(hashes, return_index=True)
        self.ends = np.append(starts, len(self.items))
        self.sizes = np.bincount(self.items, minlength=num_items)
        short = _short(self.keys)
        self._first = np.full(1 << TABLE_BITS, -1, dtype=np.int32)  # of the keys with these bits
        self._first[short[::-1]] = np.arange(len(short), dtype=np.int32)[::-1]
        self._depth = int(np.bincount(short).max()) if len(short) else 0

    @property
    def num_grams(self) -> int:
        """Distinct grams of all items."""
        return len(self.keys)

    def match(self, rows: Stream | Mapping[int, Stream]) -> tuple[np.ndarray, np.ndarray]:
        """Distinct pairs (text, gram) of a batch, sorted, where some item has the gram.

        Streams by length are for grams whose tokens depend on it, such as marks at the ends.
        """
        streams = dict.fromkeys(self.lengths, rows) if isinstance(rows, Stream) else rows
        owners, hashes = _grams(streams)
        owners, grams, _ = self._found(owners, hashes)
        width = max(self.num_grams, 1)
        return np.divmod(_distinct(owners * width + grams), width)

    def places(self, ids: Integer[np.ndarray, " T"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where a text's tokens begin a gram of some item: positions, lengths and grams."""
        found = [fold(ids, n) for n in self.lengths]
        places = np.concatenate([p for p, _ in found])
        sizes = np.repeat(self.lengths, [len(p) for p, _ in found])
        places, grams, kept = self._found(places, np.concatenate([h for _, h in found]))
        return places, sizes[kept], grams

    def _found(
        self, owners: np.ndarray, hashes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        at = self._first[_short(hashes)]
        near = np.flatnonzero(at >= 0)
        at, wanted = at[near].astype(np.int64), hashes[near]
        hit = self.keys[at] == wanted
        for _ in range(1, self._depth):  # the next keys with the same bits
            left = np.flatnonzero(~hit)
            at[left] = np.minimum(at[left] + 1, self.num_grams - 1)
            hit[left] = self.keys[at[left]] == wanted[left]
        return owners[near[hit]], at[hit], near[hit]

    def matrix(self) -> Any:
        """Items by grams, as a sparse matrix of ones."""
        import scipy.sparse as sp

        grams = np.repeat(np.arange(self.num_grams), np.diff(self.ends))
        ones = np.ones(len(self.items), np.float32)
        return sp.csr_matrix((ones, (self.items, grams)), shape=(len(self.sizes), self.num_grams))


def _grams(streams: Mapping[int, Stream]) -> tuple[np.ndarray, np.ndarray]:
    found = [(stream, *fold(stream.ids, n)) for n, stream in streams.items()]
    owners = np.concatenate([stream.owners[places] for stream, places, _ in found])
    return owners, np.concatenate([hashes for _, _, hashes in found])


def _distinct(keys: np.ndarray) -> np.ndarray:
    """Sorted distinct keys; marked in a table where that is smaller than a sort is slow."""
    most = int(keys.max()) + 1 if len(keys) else 0
    if most > TABLE_SIZE:
        return np.unique(keys)
    there = np.zeros(most, dtype=bool)
    there[keys] = True
    return np.flatnonzero(there)


def _short(hashes: np.ndarray) -> np.ndarray:
    return (hashes >> np.uint64(64 - TABLE_BITS)).astype(np.int64)
