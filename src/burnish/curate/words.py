"""Hashes of the words of many texts at once, without a string for each."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, UInt64

from burnish.curate.grams import MULTIPLIER

INVERSE = np.uint64(pow(int(MULTIPLIER), -1, 1 << 64))
LAST_SPACE = 0x3000  # of Unicode
SPACES = np.array([chr(code).isspace() for code in range(LAST_SPACE + 2)])


class WordHasher:
    """Hashes every word of `text.split()`; equal words have equal hashes in every call.

    The hash of a word is a polynomial of its code points modulo 2^64, taken from running sums over
    all texts: sums between two places, divided by the first one's power. Two words of a million
    that differ by chance collide with a chance of one in ten million.
    Source: polynomial hashing, Karp and Rabin 1987.
    Oracle: tests/curate/test_words.py::test_words_are_those_of_split
    """

    def __init__(self) -> None:
        self._powers = self._inverses = self._terms = self._sums = np.zeros(0, np.uint64)

    def __call__(
        self, texts: Sequence[str]
    ) -> tuple[UInt64[np.ndarray, " W"], Int[np.ndarray, " R"]]:
        """Hashes of all words in sequence, and the number of words in each text."""
        joined = "\n".join(texts)
        if joined.isascii():
            codes = np.frombuffer(joined.encode("ascii"), np.uint8)
        else:
            codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), "<u4")
        outside = np.ones(len(codes) + 2, bool)
        SPACES.take(
            codes, mode="clip", out=outside[1:-1]
        )  # the last entry stands for all behind it
        edges = np.flatnonzero(outside[1:] != outside[:-1])
        starts, stops = edges[::2], edges[1::2]
        self._grow(len(codes) + 1)
        # kept from call to call: touching new memory costs more than the sums
        terms, sums = self._terms[: len(codes)], self._sums[: len(codes) + 1]
        np.multiply(self._powers[1 : len(codes) + 1], codes, out=terms)
        np.cumsum(terms, out=sums[1:])
        hashes = (sums[stops] - sums[starts]) * self._inverses[starts]
        ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)) + 1)
        return hashes, np.diff(np.searchsorted(starts, ends), prepend=0)

    def _grow(self, num: int) -> None:
        if num > len(self._powers):
            num = 1 << num.bit_length()
            self._powers, self._inverses = (_powers(base, num) for base in (MULTIPLIER, INVERSE))
            self._terms, self._sums = np.zeros((2, num), np.uint64)


def _powers(base: np.uint64, num: int) -> UInt64[np.ndarray, " N"]:
    factors = np.full(num, base, np.uint64)
    factors[0] = 1
    with np.errstate(over="ignore"):
        return np.multiply.accumulate(factors)
