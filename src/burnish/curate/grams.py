"""Hashed n-grams: streams of tokens of many texts, and an inverted index of few items."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int, Integer, UInt64

MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
TABLE_BITS, SPARE_BITS = 21, 4  # a table of at most 8 MB, at most a sixteenth full before
TABLE_SIZE = 1 << 26  # bytes
SORT_COST = 1024  # bytes of a table that are cleared and read in the time in which a key is sorted


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


class Keys:
    """Sorted distinct hashes, found by a table of their first bits.

    Source: ours. Oracle: tests/curate/test_grams.py::test_keys_are_found_exactly
    """

    def __init__(self, values: UInt64[np.ndarray, " K"]) -> None:
        """`values` must be sorted and distinct."""
        self.values = values
        self._shift = np.uint64(64 - min(TABLE_BITS, len(values).bit_length() + SPARE_BITS))
        short = self._short(values)
        self._first = np.full(1 << int(64 - self._shift), -1, dtype=np.int32)
        self._first[short[::-1]] = np.arange(len(short), dtype=np.int32)[::-1]
        self._depth = int(np.bincount(short).max()) if len(short) else 0

    def __len__(self) -> int:
        return len(self.values)

    def find(self, hashes: UInt64[np.ndarray, " T"]) -> tuple[np.ndarray, np.ndarray]:
        """Places of the hashes that are keys, and the keys' numbers."""
        at = self._first[self._short(hashes)]
        near = np.flatnonzero(at >= 0)
        at, wanted = at[near].astype(np.int64), hashes[near]
        hit = self.values[at] == wanted
        for _ in range(1, self._depth):  # the next keys with the same bits
            left = np.flatnonzero(~hit)
            at[left] = np.minimum(at[left] + 1, len(self) - 1)
            hit[left] = self.values[at[left]] == wanted[left]
        return near[hit], at[hit]

    def _short(self, hashes: UInt64[np.ndarray, " T"]) -> np.ndarray:
        return (hashes >> self._shift).astype(np.int64)


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
        keys, starts = np.unique(hashes, return_index=True)
        self.keys = Keys(keys)
        self.ends = np.append(starts, len(self.items))
        self.sizes = np.bincount(self.items, minlength=num_items)

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
        found, grams = self.keys.find(hashes)
        width = max(self.num_grams, 1)
        return np.divmod(_distinct(owners[found] * width + grams), width)

    def places(self, ids: Integer[np.ndarray, " T"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where a text's tokens begin a gram of some item: positions, lengths and grams."""
        found = [fold(ids, n) for n in self.lengths]
        places = np.concatenate([p for p, _ in found])
        sizes = np.repeat(self.lengths, [len(p) for p, _ in found])
        kept, grams = self.keys.find(np.concatenate([h for _, h in found]))
        return places[kept], sizes[kept], grams

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
    if most > min(TABLE_SIZE, SORT_COST * len(keys)):
        return np.unique(keys)
    there = np.zeros(most, dtype=bool)
    there[keys] = True
    return np.flatnonzero(there)
