"""Exact top-K against brute force, ties and groups included."""

import numpy as np
import pytest

from burnish.base.errors import SettingError
from burnish.graph import search
from burnish.graph.search import top_k

RNG = np.random.default_rng(0)


def brute(queries, keys, k, groups=None):
    found = []
    for q, row in enumerate(queries):
        scores = [(-float(np.dot(row, key)), i) for i, key in enumerate(keys)]
        if groups is not None:
            scores = [s for s in scores if groups[0][q] != groups[1][s[1]]]
        best = [i for _, i in sorted(scores)[:k]]
        found.append(best + [-1] * (k - len(best)))
    return found


def check_brute_force():
    queries = RNG.integers(-2, 3, (300, 4)).astype(np.float32)  # whole numbers: many ties
    keys = RNG.integers(-2, 3, (90, 4)).astype(np.float32)
    groups = RNG.integers(0, 20, 300), RNG.integers(0, 20, 90)
    assert top_k(queries, keys, 5).indices.tolist() == brute(queries, keys, 5)
    found = top_k(queries, keys, 5, query_groups=groups[0], key_groups=groups[1])
    assert found.indices.tolist() == brute(queries, keys, 5, groups)


def test_equals_brute_force():
    check_brute_force()


def test_planted_ties_by_chance(monkeypatch):
    def loose(values, k):
        best, places = values.topk(k, dim=1)
        return places.numpy(), best.numpy()

    monkeypatch.setattr(search, "_best", loose)
    with pytest.raises(AssertionError):
        check_brute_force()


def test_fewer_keys_than_asked_for():
    found = top_k(np.ones((1, 2)), np.ones((2, 2)), 4)
    assert found.indices.tolist() == [[0, 1, -1, -1]] and found.row(0) == [0, 1]
    assert top_k(np.ones((1, 2)), np.ones((0, 2)), 2).row(0) == []
    same = top_k(np.ones((1, 2)), np.ones((2, 2)), 2, query_groups=np.array([1]),
                 key_groups=np.array([1, 1]))  # fmt: skip
    assert same.row(0) == []


def test_wrong_settings():
    with pytest.raises(SettingError):
        top_k(np.ones((1, 2)), np.ones((1, 2)), 0)
    with pytest.raises(SettingError):
        top_k(np.ones((1, 2)), np.ones((1, 2)), 1, engine="annoy")


@pytest.mark.peer
def test_faiss_agrees():
    pytest.importorskip("faiss")
    queries, keys = RNG.standard_normal((20, 6)), RNG.standard_normal((200, 6))
    groups = {"query_groups": np.arange(20), "key_groups": np.arange(200) // 3}
    ours = top_k(queries, keys, 7, **groups).indices
    assert np.array_equal(ours, top_k(queries, keys, 7, engine="faiss", **groups).indices)
