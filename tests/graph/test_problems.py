"""Pool and queries of the three tasks."""

import numpy as np
import pytest
from fixtures.graphs import planted_graph

from burnish.base.errors import InputError
from burnish.graph import problems
from burnish.graph.problems import make_problem
from burnish.graph.settings import ProblemSettings
from burnish.graph.tag import make_graph

GRAPH = planted_graph(90, text=True, edges=True)


def check_apart(task):
    settings = ProblemSettings(task=task, labelled_frac=0.3, queries=20, pool=20)
    graph = GRAPH
    if task == "generate":
        rows = [{"id": n, "text": f"{n}: {t}", "label": y}
                for n, t, y in zip(GRAPH.ids, GRAPH.texts, GRAPH.labels, strict=True)]  # fmt: skip
        graph = make_graph(rows, []).with_edges(GRAPH.edges)
    found = make_problem(graph, settings, 3)
    assert not set(found.pool) & set(found.queries) and len(found.queries) == 20
    again = make_problem(graph, settings, 3)
    assert np.array_equal(found.pool, again.pool)
    assert not np.array_equal(found.pool, make_problem(graph, settings, 4).pool) or task == "links"
    if task == "links":
        edges = {tuple(edge) for edge in found.graph.edges.tolist()}
        asked = {tuple(sorted(pair)) for pair in found.nodes.tolist()}
        assert not edges & asked
        linked = [found.answers[i] == "yes" for i in found.queries]
        assert sum(linked) == 10
        real = {tuple(edge) for edge in graph.edges.tolist()}
        assert all((tuple(sorted(found.nodes[i])) in real) == a for i, a in
                   zip(found.queries, linked, strict=True))  # fmt: skip


@pytest.mark.parametrize("task", ["classify", "links", "generate"])
def test_pool_and_queries_are_apart(task):
    check_apart(task)


def test_planted_edges_left_in_the_graph(monkeypatch):
    monkeypatch.setattr(problems.TextGraph, "with_edges", lambda self, edges: self)
    with pytest.raises(AssertionError):
        check_apart("links")


def test_the_graphs_own_split():
    rows = [
        {"id": "a", "text": "x", "label": "u", "split": "train"},
        {"id": "b", "text": "y", "label": "v", "split": "train"},
        {"id": "c", "text": "z", "label": "w", "split": "test"},
        {"id": "d", "text": "q", "label": "", "split": "test"},
        {"id": "e", "text": "q", "label": "u", "split": ""},
    ]
    graph = make_graph(rows, [("a", "c", ""), ("a", "b", "")])
    found = make_problem(graph, ProblemSettings(mode="inductive"), 0)
    assert found.pool.tolist() == [0, 1] and found.queries.tolist() == [2]
    assert found.classes == ("u", "v")  # w is no training label: the query cannot be answered
    assert found.training.edges.tolist() == [[0, 1]] and len(found.graph.edges) == 2
    assert found.targets.tolist() == [0, 1]


def test_a_smaller_number_of_queries_is_a_part_of_a_larger_one():
    few, many = (
        make_problem(GRAPH, ProblemSettings(labelled_frac=0.3, queries=num), 1).queries
        for num in (10, 30)
    )
    assert set(few) <= set(many)


def test_nothing_to_ask():
    graph = make_graph([{"id": "a", "text": "x", "label": "u"}], [])
    with pytest.raises(InputError, match="two examples and a query"):
        make_problem(graph, ProblemSettings(), 0)
    with pytest.raises(InputError, match="must contain ': '"):
        make_problem(graph, ProblemSettings(task="generate"), 0)
    pair = make_graph([{"id": n, "text": n} for n in "ab"], [("a", "b", "")])
    with pytest.raises(InputError):
        make_problem(pair, ProblemSettings(task="links"), 0)


def test_one_class_teaches_nothing():
    rows = [{"id": n, "text": n, "label": "u"} for n in "abcdef"]
    with pytest.raises(InputError, match="must have at least two classes, got 'u'"):
        make_problem(make_graph(rows, []), ProblemSettings(), 0)


def test_pairs_and_names():
    found = make_problem(GRAPH, ProblemSettings(task="links", queries=4, pool=4), 0)
    item = int(found.queries[0])
    assert set(found.fields(item)) == {"first", "second"} and "|" in found.name(item)
    assert len(set(found.groups)) == len(found.groups)
    other = found.with_permuted_edges(np.random.default_rng(0))
    assert len(other.graph.edges) == len(found.graph.edges)
    assert other.graph is not found.graph and np.array_equal(other.nodes, found.nodes)


def test_all_labels_may_be_examples():
    rows = [{"id": n, "text": n, "label": n, "split": "train"} for n in "ab"]
    graph = make_graph([*rows, {"id": "c", "text": "c"}], [])
    found = make_problem(graph, ProblemSettings(), 0, asks=False)
    assert found.pool.tolist() == [0, 1] and len(found.queries) == 0
