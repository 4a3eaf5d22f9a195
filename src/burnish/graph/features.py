"""Text as vectors: TF-IDF in a few directions, or a model's embeddings; nothing is downloaded."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from burnish.base.errors import InputError, SettingError
from burnish.base.files import atomic_write

WORD = re.compile(r"\w+")
NUM_POWERS = 3  # of the randomised decomposition
SPARE = 16  # directions that it computes beyond those that are kept


@dataclass(frozen=True, kw_only=True)
class TextVectors:
    """Turns texts into unit vectors: TF-IDF weights, then the directions that hold most of them.

    Fitted on some texts, it serves new ones too. A text without a known word is the zero vector.
    Source: Deerwester et al. 1990 (latent semantic analysis); Halko et al. 2011 (randomised SVD).
    Oracle: tests/graph/test_features.py::test_directions_are_those_of_a_full_decomposition
    """

    words: tuple[str, ...]
    weights: np.ndarray  # inverse document frequencies
    directions: np.ndarray  # a row for each word

    @classmethod
    def fit(cls, texts: Sequence[str], *, width: int = 128, least_texts: int = 2) -> "TextVectors":
        """Learn words, weights and directions. Raises InputError for texts without a word."""
        counts = Counter(word for text in texts for word in set(words_of(text)))
        words = sorted(word for word, count in counts.items() if count >= least_texts)
        words = words or sorted(counts)
        if not words:
            raise InputError("texts", len(texts), "must contain a word", remedy="Check the column")
        weights = np.array([np.log((1 + len(texts)) / (1 + counts[w])) + 1 for w in words])
        matrix = _weighted(texts, {word: i for i, word in enumerate(words)}, weights)
        return cls(words=tuple(words), weights=weights, directions=_directions(matrix, width))

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """One unit vector a text, in fp32."""
        places = {word: index for index, word in enumerate(self.words)}
        return unit(_weighted(texts, places, self.weights) @ self.directions).astype(np.float32)

    def save(self, path: Path) -> None:
        """Write one .npz file. Raises StorageError."""
        with atomic_write(path, "wb") as file:
            np.savez(
                file, words=np.array(self.words, dtype=str), weights=self.weights,
                directions=self.directions.astype(np.float32),
            )  # fmt: skip

    @classmethod
    def load(cls, path: Path) -> "TextVectors":
        """Read a file that `save` wrote."""
        with np.load(path, allow_pickle=False) as kept:
            words = tuple(kept["words"].tolist())
            return cls(words=words, weights=kept["weights"], directions=kept["directions"])


def words_of(text: str) -> list[str]:
    """Runs of letters, digits and underscores, without case."""
    return WORD.findall(text.casefold())


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows scaled to unit length; zero rows stay zero."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1)


def propagated(features: np.ndarray, adjacency: sparse.csr_array, steps: int = 2) -> np.ndarray:
    """Features after `steps` products with the normalised adjacency with self-loops.

    Source: Wu et al. 2019 (SGC), arXiv 1902.07153.
    Oracle: tests/graph/test_features.py::test_propagation_is_a_dense_product
    """
    if steps < 0:
        raise SettingError("steps", steps, "must not be negative", remedy="2 is usual")
    matrix = normalised(adjacency)
    for _ in range(steps):
        features = matrix @ features
    return features


def normalised(adjacency: sparse.csr_array) -> sparse.csr_array:
    """`D^-1/2 (A + I) D^-1/2`, with exactly one loop a node.

    Source: Kipf & Welling 2017, arXiv 1609.02907.
    Oracle: tests/graph/test_features.py::test_propagation_is_a_dense_product
    """
    size = len(adjacency.indptr) - 1
    with_loops = adjacency + sparse.eye_array(size, dtype=adjacency.dtype, format="csr")
    scale = 1 / np.sqrt(with_loops.sum(axis=1))
    scaling = sparse.diags_array(scale).astype(adjacency.dtype)
    found = sparse.csr_array(scaling @ with_loops @ scaling)
    found.sort_indices()
    return found


def _weighted(
    texts: Sequence[str], places: dict[str, int], weights: np.ndarray
) -> sparse.csr_array:
    """Rows of unit length: (1 + log count) times weight."""
    ends, columns, values = [0], list[int](), list[float]()
    for text in texts:
        counts = Counter(places[w] for w in words_of(text) if w in places)
        row = sorted(counts.items())
        given = np.array([(1 + np.log(count)) * weights[place] for place, count in row])
        length = float(np.linalg.norm(given)) or 1.0
        columns += [place for place, _ in row]
        values += (given / length).tolist()
        ends.append(len(columns))
    shape = (len(texts), len(weights))
    return sparse.csr_array((values, columns, ends), shape=shape)


def _directions(matrix: sparse.csr_array, width: int) -> np.ndarray:
    """Leading right singular vectors, a row for each column of the matrix."""
    shape: Any = matrix.shape  # scipy has no types
    rank = min(width, *shape)
    rng, matrix = np.random.default_rng(0), sparse.csr_array(matrix, dtype=np.float32)
    tried = rng.standard_normal((shape[1], min(rank + SPARE, *shape)), dtype=np.float32)
    rows, _ = np.linalg.qr(matrix @ tried)
    for _ in range(NUM_POWERS):
        columns, _ = np.linalg.qr(matrix.T @ rows)
        rows, _ = np.linalg.qr(matrix @ columns)
    _, _, found = np.linalg.svd((matrix.T @ rows).T, full_matrices=False)
    found = found[:rank].T
    signs = np.sign(found[np.abs(found).argmax(axis=0), np.arange(rank)])
    return found * signs
