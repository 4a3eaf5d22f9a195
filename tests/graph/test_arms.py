"""Ways to choose examples: who comes first, who never comes."""

import numpy as np
import pytest
from fixtures.graphs import planted_graph, planted_world

from burnish.graph import arms
from burnish.graph.arms import FIXED, Chooser, vote
from burnish.graph.settings import ProblemSettings
from burnish.graph.tag import make_graph

GRAPH = planted_graph(60, text=True, edges=True)


def chooser_of(world, num=3):
    return Chooser(world.problem, world.features, num, world.seed)


@pytest.mark.parametrize("arm", sorted(FIXED))
@pytest.mark.parametrize("task", ["classify", "links"])
def test_examples_come_from_the_pool(arm, task):
    settings = ProblemSettings(task=task, labelled_frac=0.4, queries=12, pool=16)
    world = planted_world(GRAPH, problem=settings)
    queries = world.problem.queries
    found = FIXED[arm](chooser_of(world), queries)
    pool = set(world.problem.pool.tolist())
    assert len(found) == len(queries)
    for own in found:
        assert set(own) <= pool and len(set(own)) == len(own)
        assert len(own) == (0 if arm == "zero-shot" else 3)
    again = FIXED[arm](chooser_of(world), queries[::-1])
    assert again[::-1] == found  # the order of the queries does not matter


def check_duplicates():
    """The same text in pool and query: no example for each other, in any arm."""
    rows = [
        {"id": f"{i}", "text": text, "label": "xy"[i % 2], "split": split}
        for i, (text, split) in enumerate(
            [("Blue whale", "train"), ("grey wolf", "train"), ("red fox", "train"),
             ("blue  Whale", "test"), ("grey cat", "test")]
        )
    ]  # fmt: skip
    graph = make_graph(rows, [("0", "3", ""), ("1", "4", "")])
    world = planted_world(graph, problem=ProblemSettings(queries=2))
    for arm, choose in FIXED.items():
        found = choose(chooser_of(world), world.problem.queries)
        assert arm == "zero-shot" or (0 not in found[0] and len(found[0]) == 2), arm
        assert arm == "zero-shot" or len(found[1]) == 3, arm


def test_duplicates_are_no_examples():
    check_duplicates()


def test_planted_duplicates(monkeypatch):
    real = arms.top_k
    monkeypatch.setattr(arms, "top_k", lambda a, b, k, **_: real(a, b, k))
    with pytest.raises(AssertionError):
        check_duplicates()


def check_neighbours():
    rows = [
        {"id": "a", "text": "far away words", "label": "x", "split": "train"},
        {"id": "b", "text": "red fox", "label": "y", "split": "train"},
        {"id": "c", "text": "other things", "label": "y", "split": "train"},
        {"id": "q", "text": "red fox runs", "label": "x", "split": "test"},
        {"id": "r", "text": "red fox sleeps", "label": "x", "split": "test"},
    ]
    world = planted_world(make_graph(rows, [("q", "a", "")]), problem=ProblemSettings(queries=2))
    found = chooser_of(world, 2).neighbours(world.problem.queries)
    assert found == [[0, 1], [1, found[1][1]]]  # a by its edge, b by text; r has no edge


def test_neighbours_come_first_and_text_fills_up():
    check_neighbours()


def test_planted_neighbours_of_the_pool_alone(monkeypatch):
    monkeypatch.setattr(
        arms.Chooser, "touching",
        lambda self, queries: np.zeros((len(queries), len(self.problem.pool))),
    )  # fmt: skip
    with pytest.raises(AssertionError):
        check_neighbours()


def check_votes():
    problem = planted_world(GRAPH).problem
    by = {c: [int(i) for i in problem.pool if problem.answers[i] == c] for c in problem.classes}
    ant, bee = by["ant"], by["bee"]
    planted = [[ant[0], bee[0], bee[1]], [bee[0], ant[0]], []]
    assert arms.vote(problem, planted) == ["bee", "bee", ""]


def test_votes_of_planted_examples():
    check_votes()
    assert vote(planted_world(GRAPH).problem, []) == []


def test_planted_first_example(monkeypatch):
    monkeypatch.setattr(arms, "vote", lambda problem, examples: [
        problem.answers[own[0]] if own else "" for own in examples])  # fmt: skip
    with pytest.raises(AssertionError):
        check_votes()
