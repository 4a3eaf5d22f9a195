"""The arms: ways of choosing examples for queries, all with the same features and pool."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from burnish.base.rng import derive_seed
from burnish.graph.bm25 import Bm25
from burnish.graph.features import propagated, unit
from burnish.graph.problems import Problem
from burnish.graph.search import top_k

Examples = list[list[int]]


@dataclass(frozen=True)
class Chooser:
    """Chooses up to `num` pool items for each query, best first; never the query or its double."""

    problem: Problem
    features: np.ndarray
    num: int
    seed: int

    @cached_property
    def pool_groups(self) -> np.ndarray:
        """Groups of the pool's items."""
        return self.problem.groups[self.problem.pool]

    def by_vectors(self, queries: np.ndarray, own: np.ndarray, keys: np.ndarray) -> Examples:
        """The pool items of largest inner product."""
        found = top_k(
            own, keys, self.num, query_groups=self.problem.groups[queries],
            key_groups=self.pool_groups,
        )  # fmt: skip
        return [[int(self.problem.pool[i]) for i in found.row(q)] for q in range(len(queries))]

    def zero_shot(self, queries: np.ndarray) -> Examples:
        """No example."""
        return [[] for _ in queries]

    def random(self, queries: np.ndarray) -> Examples:
        """Random pool items, seeded by the query's name."""
        found = []
        for query in queries:
            name = self.problem.name(int(query))
            rng = np.random.default_rng(derive_seed(self.seed, "graph", "random", name))
            allowed = self._allowed(int(query))
            found.append([int(i) for i in rng.permutation(allowed)[: self.num]])
        return found

    def bm25(self, queries: np.ndarray) -> Examples:
        """Pool items ranked by BM25."""
        scorer = Bm25([self.problem.text(int(i)) for i in self.problem.pool])
        scores = [scorer.scores(self.problem.text(int(query))) for query in queries]
        return [self._best(int(q), s) for q, s in zip(queries, scores, strict=True)]

    def text_knn(self, queries: np.ndarray) -> Examples:
        """Pool items ranked by the text features that all arms share."""
        return self._by_rows(queries, self.features)

    def propagated(self, queries: np.ndarray) -> Examples:
        """As `text_knn`, with features after two steps of propagation; nothing is learned."""
        return self._by_rows(queries, propagated(self.features, self.problem.graph.adjacency))

    def neighbours(self, queries: np.ndarray) -> Examples:
        """Pool items that share a node or an edge with the query, most first; then by text.

        Source: the labelled one-hop neighbours of arXiv 2502.13562.
        Oracle: tests/graph/test_arms.py::test_neighbours_come_first_and_text_fills_up
        """
        touching = self.touching(queries)
        text = self.text_knn(queries)
        found = []
        for row, query in enumerate(queries):
            near = [
                i for i in self._best(int(query), touching[row]) if self._touch(touching, row, i)
            ]
            rest = [item for item in text[row] if item not in near]
            found.append([*near, *rest][: self.num])
        return found

    def touching(self, queries: np.ndarray) -> np.ndarray:
        """How often each pool item shares a node or an edge with each query."""
        size = len(self.problem.graph)
        reach = self.problem.graph.adjacency
        if self.problem.nodes.shape[1] == 2:
            reach = reach + sparse.eye_array(size, format="csr", dtype=reach.dtype)
        own = self._incidence(queries) @ reach
        return np.asarray((own @ self._incidence(self.problem.pool).T).todense())

    def _touch(self, touching: np.ndarray, row: int, item: int) -> bool:
        return bool(touching[row, np.searchsorted(self.problem.pool, item)] > 0)

    def _incidence(self, items: np.ndarray) -> sparse.csr_array:
        nodes = self.problem.nodes[items]
        rows = np.repeat(np.arange(len(items)), nodes.shape[1])
        values = np.ones(nodes.size, dtype=np.float32)
        shape = (len(items), len(self.problem.graph))
        return sparse.coo_array((values, (rows, nodes.reshape(-1))), shape=shape).tocsr()

    def _by_rows(self, queries: np.ndarray, rows: np.ndarray) -> Examples:
        own, keys = self._rows_of(queries, rows), self._rows_of(self.problem.pool, rows)
        return self.by_vectors(queries, own, keys)

    def _rows_of(self, items: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Unit rows of items; a pair is product and distance of its nodes' rows."""
        nodes = self.problem.nodes[items]
        if nodes.shape[1] == 1:
            return unit(rows[nodes[:, 0]]).astype(np.float32)
        one, other = unit(rows[nodes[:, 0]]), unit(rows[nodes[:, 1]])
        return unit(np.concatenate([one * other, np.abs(one - other)], axis=1)).astype(np.float32)

    def _allowed(self, query: int) -> np.ndarray:
        return self.problem.pool[self.pool_groups != self.problem.groups[query]]

    def _best(self, query: int, scores: np.ndarray) -> list[int]:
        allowed = self.pool_groups != self.problem.groups[query]
        order = np.argsort(np.where(allowed, -scores, np.inf), kind="stable")
        return [int(self.problem.pool[i]) for i in order[: self.num] if allowed[i]]


FIXED: dict[str, Callable[[Chooser, np.ndarray], Examples]] = {
    "zero-shot": Chooser.zero_shot,
    "random": Chooser.random,
    "bm25": Chooser.bm25,
    "text-knn": Chooser.text_knn,
    "neighbours": Chooser.neighbours,
    "propagated": Chooser.propagated,
}


def vote(problem: Problem, examples: Examples) -> list[str]:
    """The most frequent answer of each query's examples; of equals the nearest; "" without any.

    What the examples say without a language model.
    Source: ours. Oracle: tests/graph/test_arms.py::test_votes_of_planted_examples
    """
    found = []
    for own in examples:
        answers = [problem.answers[item] for item in own]
        found.append(max(answers, key=lambda a: (answers.count(a), -answers.index(a)), default=""))
    return found
