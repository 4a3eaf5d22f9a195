"""BM25: the word match that a retriever must beat."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy import sparse

from burnish.graph.features import words_of

K1, B = 1.5, 0.75


class Bm25:
    """Scores of texts against a collection, as in Lucene.

    Source: Robertson & Zaragoza 2009, with Lucene's idf `ln(1 + (N - n + 0.5) / (n + 0.5))`.
    Oracle: tests/graph/test_bm25.py::test_equals_the_formula_written_out
    """

    def __init__(self, texts: Sequence[str]) -> None:
        counts = [Counter(words_of(text)) for text in texts]
        words = sorted({word for row in counts for word in row})
        self._places = {word: index for index, word in enumerate(words)}
        holders = Counter(word for row in counts for word in row)
        lengths = np.array([sum(row.values()) for row in counts], dtype=float)
        mean = lengths.mean() if lengths.size and lengths.sum() else 1.0
        rows, columns, values = list[int](), list[int](), list[float]()
        for index, row in enumerate(counts):
            room = K1 * (1 - B + B * lengths[index] / mean)
            for word, count in row.items():
                held = holders[word]
                idf = np.log(1 + (len(texts) - held + 0.5) / (held + 0.5))
                rows.append(index)
                columns.append(self._places[word])
                values.append(float(idf * count * (K1 + 1) / (count + room)))
        shape = (len(texts), len(words))
        self._weights = sparse.coo_array((values, (rows, columns)), shape=shape).tocsr()

    def scores(self, query: str) -> np.ndarray:
        """One score for each text of the collection."""
        asked = np.zeros(len(self._places))
        for word, count in Counter(words_of(query)).items():
            if word in self._places:
                asked[self._places[word]] += count
        return self._weights @ asked
