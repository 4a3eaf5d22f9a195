"""TLI, the test leakage indicator: exactly as published, by an inverted index."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat

import numpy as np
from jaxtyping import Float

from burnish.base.errors import SettingError
from burnish.curate.grams import GramIndex, Stream

START, END = "<start>", "<end>"
BATCH_CHARACTERS = 1 << 20


class TestLeakage:
    """Test leakage indicator: mean over test items of the largest share of n-grams in one row.

    Grams are those of `text.split()` with `n - 1` marks on either side; the test item is the
    denominator; the n-grams of all `lengths` are pooled. Texts without a word are no test items.
    Source: XCoder, arXiv 2409.03810, section 3.1, and its `compute_TLI.py` (n in 4 and 5).
    Oracle: tests/curate/test_tli.py::test_equals_brute_force
    """

    __test__ = False  # pytest would collect the name

    def __init__(self, tests: Sequence[str], lengths: Sequence[int] = (4, 5)) -> None:
        if not lengths or min(lengths) < 1:
            remedy = "The paper uses 4 and 5"
            raise SettingError("lengths", list(lengths), "must be at least 1", remedy=remedy)
        self.kept = [i for i, text in enumerate(tests) if text.split()]
        words = [tests[i].split() for i in self.kept]
        self._known = {START: 1, END: 2}
        for word in chain.from_iterable(words):
            self._known.setdefault(word, len(self._known) + 1)
        self._lengths = sorted(set(lengths))
        self.index = GramIndex(self._streams(words), len(words))
        self._items = self.index.matrix()
        self.best = np.zeros(len(words), np.float64)

    def _streams(self, words: Sequence[Sequence[str]]) -> dict[int, Stream]:
        """Tokens with `n - 1` marks on either side, for every n."""
        pad = self._lengths[-1] - 1
        start, end = [START] * pad, [*[END] * pad, ""]
        parts = [part for some in words for part in (start, some, end)]
        sizes = np.fromiter((len(some) + 2 * pad + 1 for some in words), np.int64, len(words))
        tokens = chain.from_iterable(parts)
        ids = np.fromiter(map(self._known.get, tokens, repeat(0)), np.int64, int(sizes.sum()))
        owners = np.repeat(np.arange(len(words)), sizes)
        ends = np.cumsum(sizes)
        found = {}
        for n in self._lengths:
            own = ids.copy()
            for extra in range(pad - (n - 1)):  # marks that shorter grams do not have
                own[ends - sizes + extra] = 0
                own[ends - 2 - extra] = 0
            found[n] = Stream(own, owners)
        return found

    def shares(self, rows: Sequence[str]) -> Float[np.ndarray, "R E"]:
        """S(t, r): the share of each item's n-grams that each row holds."""
        import scipy.sparse as sp

        owners, grams = self.index.match(self._streams([row.split() for row in rows]))
        shape = (len(rows), self.index.num_grams)
        ones = np.ones(len(owners), np.float32)
        found = sp.csr_matrix((ones, (owners, grams)), shape=shape) @ self._items.T
        return found.toarray().astype(np.float64) / np.maximum(self.index.sizes, 1)

    def add(self, rows: Iterable[str]) -> Iterator[Float[np.ndarray, " R"]]:
        """Largest share over all items of each row, batch by batch; `best` and `value` follow."""
        for batch in _batches(rows):
            shares = self.shares(batch)
            if shares.size:
                self.best = np.maximum(self.best, shares.max(axis=0))
                yield shares.max(axis=1)
            else:
                yield np.zeros(len(batch))

    @property
    def value(self) -> float | None:
        """TLI [0, 1] of the rows so far; None without a test item."""
        return float(self.best.mean()) if len(self.best) else None


def tli(rows: Iterable[str], tests: Sequence[str], lengths: Sequence[int] = (4, 5)) -> float | None:
    """TLI [0, 1] of rows against test items; None where no item has a word."""
    found = TestLeakage(tests, lengths)
    for _ in found.add(rows):
        pass
    return found.value


def _batches(rows: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += len(row) + 1
        if size >= BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
