"""Text vectors and propagation against dense formulas."""

import numpy as np
import pytest
from fixtures.graphs import planted_graph
from scipy import sparse

from burnish.base.errors import InputError, SettingError
from burnish.graph import features
from burnish.graph.features import TextVectors, normalised, propagated, unit


def check_directions():
    """Ours span what a full decomposition of the same weights keeps."""
    texts = planted_graph(80, text=True, edges=True).texts
    vectors = TextVectors.fit(texts, width=9)
    counts = np.array([[text.split().count(w) for w in vectors.words] for text in texts])
    idf = np.log((1 + len(texts)) / (1 + (counts > 0).sum(axis=0))) + 1
    weights = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0) * idf
    weights = weights / np.linalg.norm(weights, axis=1, keepdims=True)
    _, _, wanted = np.linalg.svd(weights, full_matrices=False)
    overlap = np.linalg.svd(wanted[:9] @ vectors.directions, compute_uv=False)
    assert overlap.min() > 0.98
    assert np.allclose(vectors(texts), unit(weights @ vectors.directions), atol=1e-4)


def test_directions_are_those_of_a_full_decomposition():
    check_directions()


def test_planted_random_projection(monkeypatch):
    def random(matrix, width):
        rows = np.random.default_rng(0).standard_normal((matrix.shape[1], width))
        return np.linalg.qr(rows)[0]

    monkeypatch.setattr(features, "_directions", random)
    with pytest.raises(AssertionError):
        check_directions()


def test_saved_vectors_serve_new_texts(tmp_path):
    vectors = TextVectors.fit(["a b", "a c", "b c d d"], width=2)
    vectors.save(tmp_path / "v.npz")
    again = TextVectors.load(tmp_path / "v.npz")
    texts = ["c d", "unknown", ""]
    assert np.allclose(again(texts), vectors(texts), atol=1e-6)
    assert not again(texts)[1:].any()
    with pytest.raises(InputError, match="must contain a word"):
        TextVectors.fit(["", " "])


def check_propagation():
    rng = np.random.default_rng(0)
    a = np.triu(rng.random((7, 7)) < 0.3, 1)
    a = (a | a.T).astype(np.float32)
    rows = rng.standard_normal((7, 3))
    with_loops = a + np.eye(7)
    scale = np.diag(with_loops.sum(axis=1) ** -0.5)
    wanted = scale @ with_loops @ scale
    found = propagated(rows, sparse.csr_array(a), steps=2)
    assert np.allclose(found, wanted @ wanted @ rows, atol=1e-6)


def test_propagation_is_a_dense_product():
    check_propagation()
    pair = sparse.csr_array(np.array([[0.0, 1], [1, 0]]))
    assert np.allclose(normalised(pair).toarray(), [[0.5, 0.5], [0.5, 0.5]])
    with pytest.raises(SettingError):
        propagated(np.zeros((2, 1)), pair, steps=-1)


def test_planted_row_normalisation(monkeypatch):
    def rows(adjacency):
        found = adjacency.toarray() + np.eye(adjacency.shape[0])
        return sparse.csr_array(found / found.sum(axis=1, keepdims=True))

    monkeypatch.setattr(features, "normalised", rows)
    with pytest.raises(AssertionError):
        check_propagation()
