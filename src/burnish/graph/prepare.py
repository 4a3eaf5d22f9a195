"""The retrievers of one seed: without feedback, with it, and on the permuted graph."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from burnish.base.rng import stream
from burnish.graph.arms import FIXED, Chooser, Examples
from burnish.graph.feedback import collect_feedback
from burnish.graph.learn import Feedback, Vectors, encode, train_retriever
from burnish.graph.problems import Problem
from burnish.graph.retriever import Retriever
from burnish.graph.search import NONE, top_k
from burnish.graph.world import World


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A retriever, and the numbers of its training."""

    retriever: Retriever
    told: dict[str, Any]


def train_plain(world: World) -> Trained:
    """Train the graph network alone."""
    retriever, told = train_retriever(
        world.problem, world.features, world.settings.retriever, seed=world.seed
    )
    return Trained(retriever=retriever, told=told)


def train_ours(world: World) -> tuple[Trained, Feedback | None]:
    """Train the graph network with feedback; weight 0 gives the network alone, bit for bit.

    Source: AskGNN, arXiv 2410.07074 (reconstruction).
    Oracle: tests/graph/test_prepare.py::test_a_hidden_attribute_is_learned_from_feedback
    """
    settings = world.settings
    if settings.feedback.weight == 0:
        return train_plain(world), None
    collected = collect_feedback(
        world.asker, world.features, settings.feedback, settings.retriever, seed=world.seed
    )
    retriever, told = train_retriever(
        world.problem, world.features, settings.retriever, seed=world.seed,
        feedback=(collected.feedback, settings.feedback),
    )  # fmt: skip
    return Trained(retriever=retriever, told={**told, **collected.told}), collected.feedback


def permuted(world: World, feedback: Feedback | None) -> tuple[Problem, Trained]:
    """The control: the same feedback and nodes, on a graph whose nodes were shuffled."""
    rng = stream(world.seed, "graph", "permuted")
    problem = world.problem.with_permuted_edges(rng)
    given = None if feedback is None else (feedback, world.settings.feedback)
    retriever, told = train_retriever(
        problem, world.features, world.settings.retriever, seed=world.seed, feedback=given
    )
    return problem, Trained(retriever=retriever, told=told)


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """Examples of queries by a retriever, best first, with scores, and its own class of each."""

    examples: Examples
    scores: list[list[float]]
    classes: list[str]
    shares: np.ndarray


def rank(
    world: World, problem: Problem, retriever: Retriever, queries: np.ndarray, num: int
) -> Ranked:
    """The pool items nearest to each query by the retriever; never its own text.

    Source: ours. Oracle: tests/graph/test_prepare.py::test_order_of_rows_does_not_matter
    """
    own: Vectors = encode(retriever, problem, world.features, queries)
    keys: Vectors = encode(retriever, problem, world.features, problem.pool)
    found = top_k(
        own.compared, keys.compared, num, query_groups=problem.groups[queries],
        key_groups=problem.groups[problem.pool], engine=world.settings.retriever.search,
    )  # fmt: skip
    rows = range(len(queries))
    classes = problem.classes
    return Ranked(
        examples=[[int(problem.pool[i]) for i in found.row(q)] for q in rows],
        scores=[
            [float(s) for s, i in zip(found.scores[q], found.indices[q], strict=True) if i != NONE]
            for q in rows
        ],
        classes=[classes[int(i)] if classes else "" for i in own.classes.argmax(axis=1)],
        shares=own.classes,
    )


def by_utility(world: World, examples: Examples, queries: np.ndarray, num: int) -> Examples:
    """The oracle: the most useful candidate of each query, which takes knowing the answer."""
    width = max((len(own) for own in examples), default=0)
    candidates = np.full((len(examples), width), NONE, dtype=np.int64)
    for row, own in enumerate(examples):
        candidates[row, : len(own)] = own
    utilities = world.asker.utilities([int(q) for q in queries], candidates, what="oracle")
    ranked = np.where(candidates >= 0, utilities, -np.inf)
    order = np.argsort(-ranked, axis=1, kind="stable")[:, :num]
    return [
        [int(candidates[row, i]) for i in own if candidates[row, i] >= 0]
        for row, own in enumerate(order)
    ]


def fixed_examples(world: World, arm: str, queries: np.ndarray) -> Examples:
    """Examples of an arm that learns nothing."""
    num = world.settings.prompt.examples
    chooser = Chooser(world.problem, world.features, num, world.seed)
    return FIXED[arm](chooser, queries)
