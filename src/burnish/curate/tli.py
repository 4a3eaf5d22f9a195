"""TLI, the test leakage indicator: exactly as published, by an inverted index."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from jaxtyping import Float

from burnish.base.errors import SettingError
from burnish.curate.grams import GramIndex, Keys, Stream
from burnish.curate.words import WordHasher

START, END = "<start>", "<end>"
BATCH_CHARACTERS = 1 << 19


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
        texts = [tests[i] for i in self.kept]
        self._hasher = WordHasher()
        self._known = Keys(np.unique(self._hasher([START, END, *texts])[0]))
        self._start, self._end = self._ids([START, END])[0].tolist()
        self._lengths = sorted(set(lengths))
        self.index = GramIndex(self._streams(texts), len(texts))
        self._items = self.index.matrix().T.tocsr()
        self.best = np.zeros(len(texts), np.float64)

    def _ids(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Ids of all words, 0 for those of no item, and the number of words in each text."""
        hashes, counts = self._hasher(texts)
        ids = np.zeros(len(hashes), np.int64)
        places, words = self._known.find(hashes)
        ids[places] = words + 1
        return ids, counts

    def _streams(self, texts: Sequence[str]) -> dict[int, Stream]:
        """Tokens with `n - 1` marks on either side, for every n."""
        words, counts = self._ids(texts)
        pad = self._lengths[-1] - 1
        sizes = counts + 2 * pad + 1
        stops = np.cumsum(sizes)
        owners = np.repeat(np.arange(len(texts)), sizes)
        firsts = stops - sizes + pad  # of the words
        places = np.arange(len(words)) + np.repeat(firsts - np.cumsum(counts) + counts, counts)
        found = {}
        for n in self._lengths:  # shorter grams have fewer marks
            ids = np.zeros(len(owners), np.int64)
            ids[places] = words
            marks = np.arange(n - 1)
            ids[(firsts - 1)[:, None] - marks] = self._start
            ids[(firsts + counts)[:, None] + marks] = self._end
            found[n] = Stream(ids, owners)
        return found

    def shares(self, rows: Sequence[str]) -> Float[np.ndarray, "R E"]:
        """S(t, r): the share of each item's n-grams that each row holds."""
        import scipy.sparse as sp

        owners, grams = self.index.match(self._streams(rows))
        shape = (len(rows), self.index.num_grams)
        ones = np.ones(len(owners), np.float32)
        found = sp.csr_matrix((ones, (owners, grams)), shape=shape) @ self._items
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
