"""Examples for nodes from other nodes, by graph or text alone; nothing is trained."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from burnish.graph.arms import Chooser
from burnish.graph.features import TextVectors
from burnish.graph.problems import Problem
from burnish.graph.tag import TextGraph

By = Literal["neighbours", "propagated", "text-knn", "bm25", "random"]


def pick_examples(
    graph: TextGraph,
    pool: Sequence[str],
    queries: Sequence[str],
    *,
    by: By,
    num: int,
    seed: int,
) -> list[list[str]]:
    """Up to `num` nodes of the pool for each query, best first, by id.

    Labels are not looked at, and a node is never an example for itself or for its double.
    Source: the labelled one-hop neighbours of arXiv 2502.13562, and `graph bench`'s other arms.
    Oracle: tests/graph/test_picking.py::test_neighbours_are_picked_out_of_the_pool
    """
    nodes = np.array(sorted(graph.index[name] for name in pool), dtype=np.int64)
    asked = np.array([graph.index[name] for name in queries], dtype=np.int64)
    problem = Problem(
        task="classify", graph=graph, training=graph, inputs=graph.texts,
        nodes=np.arange(len(graph))[:, None], answers=("",) * len(graph), classes=(),
        pool=nodes, queries=asked, mode="transductive",
    )  # fmt: skip
    by_words = by in ("random", "bm25")
    features = np.zeros((len(graph), 1)) if by_words else TextVectors.fit(graph.texts)(graph.texts)
    chooser = Chooser(problem, features, num, seed)
    arms = {
        "neighbours": chooser.neighbours,
        "propagated": chooser.propagated,
        "text-knn": chooser.text_knn,
        "bm25": chooser.bm25,
        "random": chooser.random,
    }
    return [[graph.ids[item] for item in own] for own in arms[by](asked)]
