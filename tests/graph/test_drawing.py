"""Distances and places."""

import networkx
import numpy as np
import pytest
from fixtures.graphs import planted_graph

from burnish.graph import drawing
from burnish.graph.convert import to_networkx
from burnish.graph.drawing import draw, hops, layout


def check_hops():
    graph = planted_graph(80, text=False, edges=True)
    lengths = networkx.single_source_shortest_path_length(to_networkx(graph), graph.ids[0])
    wanted = [d if (d := lengths.get(name, 9)) <= 3 else None for name in graph.ids]
    assert hops(graph, 0, range(80)) == wanted


def test_hops_equal_networkx():
    check_hops()


def test_planted_hop_limit(monkeypatch):
    monkeypatch.setattr(drawing, "MOST_HOPS", 1)
    with pytest.raises(AssertionError):
        check_hops()


def test_linked_nodes_lie_nearer():
    spots = layout(8, [(0, 4), (1, 5)])
    distance = np.linalg.norm(spots[:, None] - spots[None], axis=2)
    linked = max(distance[0, 4], distance[1, 5])
    assert linked < np.median(distance[np.triu_indices(8, 1)])
    assert spots.min() >= 0 and spots.max() <= 1 and len(layout(1, [])) == 1


def test_a_drawing_holds_query_and_examples():
    graph = planted_graph(40, text=False, edges=True)
    drawn = draw(graph, 0, [5, 6])
    kinds = {node["id"]: node["kind"] for node in drawn["nodes"]}
    assert kinds["n000"] == "query" and kinds["n005"] == kinds["n006"] == "example"
    ids = set(kinds)
    assert all(a in ids and b in ids for a, b in drawn["edges"]) and drawn["edges"]
