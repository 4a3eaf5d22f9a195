"""Examples that the edges pick: of the same class where edges tell, and never of what is asked."""

import numpy as np
import pytest
from fixtures.graphs import planted_graph

from burnish.graph import picking
from burnish.graph.picking import pick_examples


def check_picked(by, least_share):
    graph = planted_graph(120, text=False, edges=True)
    pool, asked = graph.ids[:70], graph.ids[70:]
    found = picking.pick_examples(graph, pool, asked, by=by, num=3, seed=0)
    assert len(found) == 50 and all(len(set(own)) == 3 for own in found)
    assert not {name for own in found for name in own} - set(pool)
    labels = dict(zip(graph.ids, graph.labels, strict=True))
    same = [labels[asked[q]] == labels[own[0]] for q, own in enumerate(found)]
    assert np.mean(same) >= least_share
    return np.mean(same)


@pytest.mark.parametrize(("by", "least"), [("neighbours", 0.9), ("propagated", 0.6)])
def test_neighbours_are_picked_out_of_the_pool(by, least):
    check_picked(by, least)


@pytest.mark.parametrize("by", ["random", "text-knn", "bm25"])
def test_texts_that_tell_nothing_pick_like_lot(by):
    assert check_picked(by, 0.0) < 0.6


def test_planted_picking_without_edges(monkeypatch):
    def without(graph, pool, queries, *, by, num, seed):
        empty = graph.with_edges(np.empty((0, 2), dtype=np.int64))
        return pick_examples(empty, pool, queries, by=by, num=num, seed=seed)

    monkeypatch.setattr(picking, "pick_examples", without)
    with pytest.raises(AssertionError):
        check_picked("neighbours", 0.9)


def test_a_double_is_no_example():
    graph = planted_graph(30, text=True, edges=True)
    texts = (graph.texts[1], *graph.texts[1:])
    from dataclasses import replace

    doubled = replace(graph, texts=texts)
    (own,) = pick_examples(doubled, doubled.ids[1:], doubled.ids[:1], by="text-knn", num=29, seed=0)
    assert doubled.ids[1] not in own and len(own) == 28
