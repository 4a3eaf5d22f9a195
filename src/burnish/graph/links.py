"""Link prediction without a language model: common neighbours and text similarity."""

import numpy as np

from burnish.graph.features import unit
from burnish.graph.problems import NO, YES, Problem


def common_neighbours(problem: Problem, items: np.ndarray) -> np.ndarray:
    """How many neighbours the two nodes of each pair share.

    Source: Liben-Nowell & Kleinberg 2007.
    Oracle: tests/graph/test_links.py::test_common_neighbours_equal_networkx
    """
    a = problem.graph.adjacency
    nodes = problem.nodes[items]
    products = a[nodes[:, 0]].multiply(a[nodes[:, 1]])
    return np.asarray(products.sum(axis=1)).reshape(-1)


def text_nearness(problem: Problem, items: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Cosine of the two nodes' features."""
    rows, nodes = unit(features), problem.nodes[items]
    return (rows[nodes[:, 0]] * rows[nodes[:, 1]]).sum(axis=1)


def scores_without_model(problem: Problem, features: np.ndarray) -> dict[str, list[str]]:
    """Answers of the queries by a threshold on each score, which the pool chose.

    Source: ours. Oracle: tests/graph/test_links.py::test_thresholds_come_from_the_pool
    """
    found = {}
    for name, score in (
        ("common-neighbours", lambda items: common_neighbours(problem, items)),
        ("text-nearness", lambda items: text_nearness(problem, items, features)),
    ):
        linked = np.array([problem.answers[i] == YES for i in problem.pool])
        threshold = best_threshold(score(problem.pool), linked)
        found[name] = [YES if s >= threshold else NO for s in score(problem.queries)]
    return found


def best_threshold(scores: np.ndarray, linked: np.ndarray) -> float:
    """The score from which on "linked" is right most often; of equals the lowest."""
    values = np.append(np.unique(scores), np.inf)
    right = [float(((scores >= value) == linked).mean()) for value in values]
    return float(values[int(np.argmax(right))])
