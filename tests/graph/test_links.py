"""Links without a model."""

import networkx
import numpy as np
import pytest
from fixtures.graphs import planted_graph, planted_world

from burnish.graph import links
from burnish.graph.convert import to_networkx
from burnish.graph.links import best_threshold, scores_without_model, text_nearness
from burnish.graph.settings import ProblemSettings

WORLD = planted_world(
    planted_graph(60, text=True, edges=True),
    problem=ProblemSettings(task="links", queries=20, pool=30),
)


def check_common():
    problem = WORLD.problem
    graph = to_networkx(problem.graph)
    items = problem.queries
    wanted = [
        len(
            list(
                networkx.common_neighbors(graph, *(problem.graph.ids[n] for n in problem.nodes[i]))
            )
        )
        for i in items
    ]
    assert links.common_neighbours(problem, items).tolist() == wanted and any(wanted)


def test_common_neighbours_equal_networkx():
    check_common()


def test_planted_union_of_neighbours(monkeypatch):
    def union(problem, items):
        a = problem.graph.adjacency.toarray()
        nodes = problem.nodes[items]
        return np.maximum(a[nodes[:, 0]], a[nodes[:, 1]]).sum(axis=1)

    monkeypatch.setattr(links, "common_neighbours", union)
    with pytest.raises(AssertionError):
        check_common()


def test_thresholds_come_from_the_pool():
    linked = np.array([False, False, True, True])
    assert best_threshold(np.array([0.0, 1, 2, 3]), linked) == 2
    assert best_threshold(np.array([3.0, 2, 1, 0]), np.zeros(4, dtype=bool)) == np.inf
    found = scores_without_model(WORLD.problem, WORLD.features)
    right = {
        name: np.mean([a == WORLD.problem.answers[q] for a, q in
                       zip(own, WORLD.problem.queries, strict=True)])
        for name, own in found.items()
    }  # fmt: skip
    assert set(found) == {"common-neighbours", "text-nearness"} and max(right.values()) > 0.6
    nearness = text_nearness(WORLD.problem, WORLD.problem.pool, WORLD.features)
    assert np.abs(nearness).max() <= 1 + 1e-5
