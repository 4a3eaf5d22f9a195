"""The graph type: order, duplicates, dangling edges, ids that look like numbers."""

import itertools

import numpy as np
import pytest
from fixtures.graphs import planted_graph

from burnish.base.errors import InputError
from burnish.graph import tag
from burnish.graph.tag import make_graph

NODES = [
    {"id": "007", "text": "spy novel", "label": "a", "split": "train"},
    {"id": "7", "text": "number seven", "label": " b ", "split": "val"},
    {"id": "x", "text": "Spy  Novel", "label": "", "split": "test"},
]
EDGES = [("7", "007", "line 2"), ("007", "x", "line 3")]


def check_order(make):
    graphs = [make(n, e) for n in itertools.permutations(NODES) for e in (EDGES, EDGES[::-1])]
    assert len({g.key for g in graphs}) == 1


def test_order_of_rows_does_not_matter():
    check_order(make_graph)
    graph = make_graph(NODES, EDGES)
    assert graph.ids == ("007", "7", "x") and graph.edges.tolist() == [[0, 1], [0, 2]]
    assert graph.labels == ("a", "b", "") and graph.splits == ("train", "valid", "test")
    assert graph.counts["trimmed_labels"] == 1
    assert graph.duplicates.tolist() == [0, 1, 0]  # the same text but for case and white space


def test_planted_order_of_the_file(monkeypatch):
    monkeypatch.setattr(tag, "sorted", lambda rows, key=None: list(rows), raising=False)
    with pytest.raises(AssertionError):
        check_order(make_graph)


def test_loops_and_repeats_are_counted_and_gone():
    rows = [{"id": n, "text": n} for n in "ab"]
    edges = [(a, b, "") for a, b in ("aa", "ab", "ba", "ab")]
    graph = make_graph(rows, edges)
    assert graph.edges.tolist() == [[0, 1]]
    assert (graph.counts["repeated_edges"], graph.counts["loops"]) == (2, 1)
    assert graph.adjacency.toarray().tolist() == [[0, 1], [1, 0]]


def test_dangling_edges():
    edges = [*EDGES, ("x", "baz", "line 4")]
    with pytest.raises(InputError, match=r"1 edge names unknown node baz \(line 4\), got 'x,baz'"):
        make_graph(NODES, edges)
    dropped = make_graph(NODES, edges, dangling="drop")
    assert len(dropped.edges) == 2 and dropped.counts["dropped_edges"] == 1
    created = make_graph(NODES, edges, dangling="create")
    assert created.ids == ("007", "7", "baz", "x") and created.labels[2] == created.texts[2] == ""
    with pytest.raises(InputError, match="2 edges name"):
        make_graph(NODES, [("q", "r", "line 2"), ("q", "x", "line 3")])


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([NODES[0], NODES[0]], "given twice"),
        ([{"id": "", "text": "t"}], "must have an id"),
        ([{"id": "a", "split": "dog"}], "train, valid, test or empty"),
        ([{"id": {"a": 1}, "text": "t"}], "must hold text or numbers"),
        ([{"id": "a", "text": ["t"]}], "must hold text or numbers"),
        ([{"id": float("nan"), "text": "t"}], "must have an id"),
        ([], "at least one"),
    ],
)
def test_rows_that_make_no_graph(rows, says):
    with pytest.raises(InputError, match=says):
        make_graph(rows, [])


def test_missing_numbers_are_empty_cells():
    graph = make_graph([{"id": 1, "text": "t", "label": float("nan")}], [])
    assert (graph.ids, graph.labels) == (("1",), ("",))
    with pytest.raises(InputError, match="Only white space differs"):
        make_graph(NODES, [("007", " x", "line 2")])


def test_features_follow_their_nodes():
    rows = np.arange(6.0).reshape(3, 2)
    graph = make_graph(NODES[::-1], EDGES, features=rows)
    assert graph.features is not None and graph.features[0].tolist() == [4, 5]
    with pytest.raises(InputError, match="one row for each of the 3 nodes, got '4 rows'"):
        make_graph(NODES, EDGES, features=np.zeros((4, 2)))


def test_a_permuted_graph_keeps_its_degrees():
    graph = planted_graph(60, text=False, edges=True)
    other = graph.permuted(np.random.default_rng(0))
    degrees = [sorted(np.bincount(g.edges.reshape(-1)).tolist()) for g in (graph, other)]
    assert degrees[0] == degrees[1] and other.texts == graph.texts
    assert graph.homophily() == 1.0 and (other.homophily() or 0) < 0.6


def test_training_without_the_edges_of_queries():
    graph = make_graph(NODES, EDGES)
    assert graph.without_edges_of(np.array([2])).edges.tolist() == [[0, 1]]
    assert list(graph.neighbours(0)) == [1, 2]
