"""Exact top-K against brute force, ties and groups included."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from fixtures.graphs import QUICK, planted_graph, planted_world

from burnish.base.errors import MissingExtraError, SettingError
from burnish.graph import search
from burnish.graph.prepare import rank, train_ours
from burnish.graph.saved import open_retriever, save_retriever
from burnish.graph.search import top_k
from burnish.graph.settings import RetrieverSettings

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


FLAT = """
import numpy as np

calls = []


class IndexFlatIP:
    def __init__(self, width):
        self.rows = np.zeros((0, width), dtype=np.float32)

    def add(self, rows):
        self.rows = np.concatenate((self.rows, rows))

    def search(self, queries, k):
        calls.append(len(queries))
        scores = queries @ self.rows.T
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(scores, order, 1), order
"""


def test_the_setting_search_reaches_every_retrieval(tmp_path, monkeypatch):
    """A flat index with faiss's interface finds the same examples, and is really asked."""
    (tmp_path / "faiss.py").write_text(FLAT)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "faiss", raising=False)
    found = []
    for engine in ("exact", "faiss"):
        world = planted_world(
            planted_graph(40, text=True, edges=True), retriever=replace(QUICK, search=engine)
        )
        trained, _ = train_ours(world)
        save_retriever(tmp_path / engine, world, trained.retriever)
        items = world.problem.queries
        ranked = rank(world, world.problem, trained.retriever, items, 4).examples
        found.append((ranked, open_retriever(tmp_path / engine).examples(items.tolist())[0]))
    assert found[0] == found[1]
    (num_folds,) = {world.settings.feedback.folds}
    assert len(sys.modules["faiss"].calls) == num_folds + 2  # feedback, rank, the saved one


def test_without_faiss_the_setting_is_refused(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="faiss is not installed"):
        RetrieverSettings(search="faiss")
