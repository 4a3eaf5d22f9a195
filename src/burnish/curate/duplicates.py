"""Near-duplicates: equal texts, and texts whose character 5-grams overlap; the first one stays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Integer

from burnish.base.rng import stream
from burnish.curate.grams import fold
from burnish.curate.tokens import characters, plain

LENGTH = 5
NUM_HASHES = 128
MISSED = 0.01  # largest chance that a pair at the threshold shares no band


@dataclass(frozen=True)
class Duplicate:
    """A row that repeats an earlier one: `of` is its place, `jaccard` 1 for equal texts."""

    row: int
    of: int
    jaccard: float


def shingles(text: str) -> Integer[np.ndarray, " M"]:
    """The distinct character 5-grams of a text; a shorter one is a single gram of its own."""
    codes = characters(text)
    return np.unique(fold(codes + 1, min(LENGTH, max(len(codes), 1)))[1])


def bands(threshold: float, num_hashes: int = NUM_HASHES) -> tuple[int, int]:
    """Rows per band and number of bands that hardly ever miss a pair at the threshold.

    A pair of Jaccard index J shares a band with a chance of 1 - (1 - J^r)^b.
    Source: Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, chapter 3.
    Oracle: tests/curate/test_duplicates.py::test_bands_find_pairs_at_the_threshold
    """
    good = [r for r in range(1, num_hashes + 1)
            if (1 - threshold**r) ** (num_hashes // r) <= MISSED]  # fmt: skip
    rows = max(good, default=1)
    return rows, num_hashes // rows


class Deduplicator:
    """Takes rows one by one; each is new, or repeats the earliest row that it resembles.

    Candidates come from MinHash bands; the Jaccard index that decides is exact. It compares with
    rows that were kept alone, so a chain of small changes does not swallow its ends.
    Source: Broder 1997, MinHash. Oracle: tests/curate/test_duplicates.py::test_equals_brute_force
    """

    def __init__(self, jaccard: float = 0.8, *, seed: int = 0) -> None:
        self._least = jaccard
        self._rows, num = bands(jaccard)
        rng = stream(seed, "minhash")
        self._factors = rng.integers(0, 2**63, size=NUM_HASHES, dtype=np.uint64) * 2 + 1
        self._shifts = rng.integers(0, 2**63, size=NUM_HASHES, dtype=np.uint64)
        self._buckets: list[dict[bytes, list[int]]] = [{} for _ in range(num)]
        self._equal: dict[bytes, int] = {}
        self._kept: dict[int, np.ndarray] = {}

    def add(self, row: int, text: str) -> Duplicate | None:
        """Take the next row; None if it is new."""
        key = _digest(plain(text))
        if key in self._equal:
            return Duplicate(row, self._equal[key], 1.0)
        grams = shingles(text)
        signature = self._signature(grams)
        places = [signature[i * self._rows : (i + 1) * self._rows].tobytes()
                  for i in range(len(self._buckets))]  # fmt: skip
        near = {r for b, place in zip(self._buckets, places, strict=True) for r in b.get(place, ())}
        for other in sorted(near):
            index = jaccard(grams, self._kept[other])
            if index >= self._least and self._least < 1:
                return Duplicate(row, other, index)
        self._equal[key] = row
        if self._least < 1:
            self._kept[row] = grams
            for bucket, place in zip(self._buckets, places, strict=True):
                bucket.setdefault(place, []).append(row)
        return None

    def _signature(self, grams: np.ndarray) -> np.ndarray:
        if not len(grams):
            return np.zeros(NUM_HASHES, np.uint64)
        with np.errstate(over="ignore"):
            mixed = grams[None, :] * self._factors[:, None] + self._shifts[:, None]
            mixed ^= mixed >> np.uint64(29)
            mixed *= np.uint64(0xBF58476D1CE4E5B9)
        return mixed.min(axis=1)


def jaccard(one: np.ndarray, other: np.ndarray) -> float:
    """The Jaccard index of two sorted sets of grams."""
    shared = len(np.intersect1d(one, other, assume_unique=True))
    union = len(one) + len(other) - shared
    return shared / union if union else 1.0


def _digest(text: str) -> bytes:
    import hashlib

    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()


def duplicates(
    texts: Sequence[str], least: float = 0.8, *, seed: int = 0
) -> Mapping[int, Duplicate]:
    """The rows that repeat an earlier one, by their places."""
    found = Deduplicator(least, seed=seed)
    pairs = ((row, found.add(row, text)) for row, text in enumerate(texts))
    return {row: one for row, one in pairs if one is not None}
