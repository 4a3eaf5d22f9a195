"""A graph's problem: items that can be examples, items that are queries, and answers.

An item is a node, or for links a pair of nodes. Only the answers of `pool` are ever looked at
before a query is judged.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from burnish.base.errors import InputError
from burnish.base.rng import stream
from burnish.graph.settings import ProblemSettings
from burnish.graph.tag import TextGraph

YES, NO = "yes", "no"


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Items by index: `nodes` (one row per item), `answers` ("" if unknown), and their roles.

    `graph` is what messages pass along when queries are answered, `training` what the retriever is
    trained on. `inputs` are the texts that features are made of, one a node. `classes` is empty
    for generation.
    """

    task: str
    graph: TextGraph
    training: TextGraph
    inputs: tuple[str, ...]
    nodes: np.ndarray
    answers: tuple[str, ...]
    classes: tuple[str, ...]
    pool: np.ndarray
    queries: np.ndarray
    mode: str

    @cached_property
    def targets(self) -> np.ndarray:
        """Class of each pool item, in the order of `pool`; -1 where there is none."""
        numbers = {name: index for index, name in enumerate(self.classes)}
        return np.array(
            [numbers.get(self.label_of(i), -1) for i in self.pool.tolist()], dtype=np.int64
        )

    def label_of(self, item: int) -> str:
        """What the retriever's classifier learns: the answer, or a node's label in generation."""
        if self.task == "generate":
            return self.graph.labels[self.nodes[item, 0]]
        return self.answers[item]

    @cached_property
    def groups(self) -> np.ndarray:
        """Items with equal numbers are the same thing: no example for each other."""
        duplicates = self.graph.duplicates[self.nodes]
        if self.nodes.shape[1] == 1:
            return duplicates[:, 0]
        low, high = duplicates.min(1), duplicates.max(1)
        return low * (self.graph.duplicates.max() + 1) + high

    def fields(self, item: int) -> Mapping[str, str]:
        """The fields of an item that a template shows."""
        texts = [self.inputs[node] for node in self.nodes[item]]
        if len(texts) == 1:
            return {"text": texts[0]}
        return {"first": texts[0], "second": texts[1]}

    def text(self, item: int) -> str:
        """All texts of an item joined, for word matching."""
        return " ".join(self.inputs[node] for node in self.nodes[item])

    def name(self, item: int) -> str:
        """Ids of the item's nodes, stable under the order of rows."""
        return "|".join(self.graph.ids[node] for node in self.nodes[item])

    def with_permuted_edges(self, rng: np.random.Generator) -> "Problem":
        """The control: nodes shuffled among the same edges, in training and at the query."""
        order = rng.permutation(len(self.graph))
        graph = self.graph.with_edges(order[self.graph.edges])
        training = self.training.with_edges(order[self.training.edges])
        return replace(self, graph=graph, training=training)


def make_problem(
    graph: TextGraph, settings: ProblemSettings, seed: int, *, asks: bool = True
) -> Problem:
    """The problem of a task, with pool and queries by the graph's split, else drawn by the seed.

    Without `asks` there may be no query: all labels may be needed as examples.
    Raises InputError where there is nothing to learn from or to ask.
    Source: ours. Oracle: tests/graph/test_problems.py::test_pool_and_queries_are_apart
    """
    make = {"classify": _classify, "links": _links, "generate": _generate}[settings.task]
    problem = make(graph, settings, seed)
    if len(problem.pool) < 2 or (asks and not len(problem.queries)):
        got = f"{len(problem.pool)} examples, {len(problem.queries)} queries"
        rule = "must contain at least two examples and a query"
        way = "raise" if len(problem.pool) < 2 else "lower"
        remedy = f"Label more nodes, or {way} problem.labelled_frac"
        raise InputError("graph", got, rule, remedy=remedy)
    if settings.task == "classify" and len(problem.classes) == 1:
        rule = "must have at least two classes"
        remedy = "Label nodes of another class, or raise problem.labelled_frac"
        raise InputError("examples of the graph", problem.classes[0], rule, remedy=remedy)
    return problem


def _classify(graph: TextGraph, settings: ProblemSettings, seed: int) -> Problem:
    splits = np.array(graph.splits)
    labelled = np.array([bool(label) for label in graph.labels])
    pool = np.flatnonzero(labelled & (splits == "train"))
    if len(pool):
        asked = np.flatnonzero(labelled & (splits == "test"))
    else:
        rng = stream(seed, "graph", "pool")
        order = rng.permutation(np.flatnonzero(labelled))
        num = max(2, round(settings.labelled_frac * len(order)))
        pool, asked = np.sort(order[:num]), np.sort(order[num:])
    queries = _drawn(asked, settings.queries, seed)
    classes = tuple(sorted({graph.labels[i] for i in pool}))
    unseen = np.flatnonzero(splits == "test") if (splits == "test").any() else queries
    inductive = settings.mode == "inductive"
    return Problem(
        task="classify", graph=graph, inputs=graph.texts, nodes=np.arange(len(graph))[:, None],
        training=graph.without_edges_of(unseen) if inductive else graph,
        answers=graph.labels, classes=classes, pool=pool, queries=queries, mode=settings.mode,
    )  # fmt: skip


def _links(graph: TextGraph, settings: ProblemSettings, seed: int) -> Problem:
    """Half of the pool and of the queries are edges; all of them are taken out of the graph."""
    rng = stream(seed, "graph", "links")
    num_pool, num_queries = settings.pool // 2, settings.queries // 2
    if len(graph.edges) < 2 * (num_pool + num_queries):
        num_pool = min(num_pool, len(graph.edges) // 4)
        num_queries = min(num_queries, len(graph.edges) // 4)
    order = rng.permutation(len(graph.edges))
    taken, rest = order[: num_pool + num_queries], order[num_pool + num_queries :]
    positives = graph.edges[taken]
    negatives = _not_edges(graph, len(positives), rng)
    nodes = np.concatenate([positives, negatives])
    half = len(positives)
    place = np.arange(half)
    pool = np.concatenate([place[:num_pool], half + place[:num_pool]])
    queries = np.concatenate([place[num_pool:], half + place[num_pool:]])
    answers = (YES,) * half + (NO,) * half
    known = graph.with_edges(graph.edges[np.sort(rest)])
    return Problem(
        task="links", graph=known, training=known, inputs=graph.texts, nodes=nodes,
        answers=answers, classes=(NO, YES), pool=pool, queries=queries, mode="transductive",
    )  # fmt: skip


def _generate(graph: TextGraph, settings: ProblemSettings, seed: int) -> Problem:
    """Generation: a node's name is given and its text is to be written; features use names only."""
    parts = [text.partition(settings.separator) for text in graph.texts]
    usable = np.array([bool(name.strip() and rest.strip()) for name, _, rest in parts])
    if not usable.any():
        remedy = "Set problem.separator to the separator of name and text"
        rule = f"must contain {settings.separator!r}"
        raise InputError("texts of the nodes", graph.texts[0][:60], rule, remedy=remedy)
    splits = np.array(graph.splits)
    if (splits == "train").any():
        first, rest = np.flatnonzero(usable & (splits == "train")), splits == "test"
        order = np.concatenate([first, np.flatnonzero(usable & rest)])
        num = len(first)
        pool = _drawn(order[:num], settings.pool, seed)
    else:
        order = stream(seed, "graph", "pool").permutation(np.flatnonzero(usable))
        num = min(settings.pool, len(order) // 2)
        pool = np.sort(order[:num])
    queries = _drawn(order[num:], settings.queries, seed)
    classes = tuple(sorted({graph.labels[i] for i in pool if graph.labels[i]}))
    return Problem(
        task="generate", graph=graph, training=graph, inputs=tuple(name for name, _, _ in parts),
        nodes=np.arange(len(graph))[:, None], answers=tuple(rest.strip() for *_, rest in parts),
        classes=classes, pool=pool, queries=queries, mode="transductive",
    )  # fmt: skip


def _drawn(items: np.ndarray, num: int, seed: int) -> np.ndarray:
    """At most `num` random items; a larger draw contains a smaller one."""
    return np.sort(stream(seed, "graph", "queries").permutation(np.sort(items))[:num])


def _not_edges(graph: TextGraph, num: int, rng: np.random.Generator) -> np.ndarray:
    size = len(graph)
    if size * (size - 1) // 2 - len(graph.edges) < num:
        rule, remedy = "must have as many pairs without an edge", "Ask for fewer links"
        raise InputError("graph", f"{len(graph.edges)} edges", rule, remedy=remedy)
    taken = {tuple(edge) for edge in graph.edges.tolist()}
    found: list[tuple[int, int]] = []
    while len(found) < num:
        a, b = sorted(rng.integers(0, size, 2).tolist())
        if a != b and (a, b) not in taken:
            taken.add((a, b))
            found.append((a, b))
    return np.array(found, dtype=np.int64).reshape(-1, 2)
