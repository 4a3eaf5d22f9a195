"""Planted worlds: what only feedback reveals; orders of rows."""

from dataclasses import replace

import numpy as np
import pytest
from fixtures.graphs import CLASSES, QUICK, planted_graph, planted_world

from burnish.graph import prepare
from burnish.graph.prepare import by_utility, rank, train_ours, train_plain
from burnish.graph.settings import FeedbackSettings
from burnish.graph.tag import make_graph

HIDDEN = planted_graph(100, text=True, edges=True, hidden=True)


def colour(text):
    return "red" if " red " in f" {text} " else "blue"


def coloured_world(weight):
    """The model is sure of the query's own label exactly where an example has its colour."""
    labels = dict(zip((" ".join(t.split()) for t in HIDDEN.texts), HIDDEN.labels, strict=True))

    def says(query, examples, names):
        same = bool(examples) and colour(examples[0][0]) == colour(query)
        share = 0.9 if same else 0.2
        rest = (1 - share) / (len(names) - 1)
        return [share if name == labels[query] else rest for name in names]

    feedback = FeedbackSettings(weight=weight, tokens=10**7, candidates=14, nearest=20, folds=2)
    how = replace(QUICK, epochs=40, temperature=0.1)
    return planted_world(HIDDEN, says, retriever=how, feedback=feedback)


def ndcg(world, retriever):
    """Of the colours among each query's first ten: 1 if all are its own."""
    problem = world.problem
    ranked = rank(world, problem, retriever, problem.queries, 10)
    gains = 1 / np.log2(np.arange(2, 12))
    found = []
    for query, own in zip(problem.queries, ranked.examples, strict=True):
        same = [colour(problem.text(e)) == colour(problem.text(int(query))) for e in own]
        found.append((gains * same).sum() / gains.sum())
    return float(np.mean(found))


def check_hidden():
    world = coloured_world(2.0)
    plain, (taught, _) = train_plain(world), prepare.train_ours(world)
    assert ndcg(world, plain.retriever) < 0.75
    assert ndcg(world, taught.retriever) > 0.95


def test_a_hidden_attribute_is_learned_from_feedback():
    check_hidden()


def test_planted_feedback_of_the_wrong_queries(monkeypatch):
    real = prepare.collect_feedback

    def shifted(*words, **more):
        found = real(*words, **more)
        moved = np.roll(found.feedback.utilities, 1, axis=0)
        return replace(found, feedback=replace(found.feedback, utilities=moved))

    monkeypatch.setattr(prepare, "collect_feedback", shifted)
    with pytest.raises(AssertionError):
        check_hidden()


def check_orders():
    graph = planted_graph(40, text=True, edges=True)
    rows = [{"id": i, "text": t, "label": y}
            for i, t, y in zip(graph.ids, graph.texts, graph.labels, strict=True)]  # fmt: skip
    edges = [(graph.ids[a], graph.ids[b], "") for a, b in graph.edges.tolist()]
    found = []
    for step in (1, -1):
        world = planted_world(make_graph(rows[::step], edges[::step]))
        how = replace(world.settings, retriever=replace(QUICK, epochs=5))
        world = replace(world, settings=how)
        problem = world.problem
        retriever = prepare.train_plain(world).retriever
        ranked = rank(world, problem, retriever, problem.queries[:10], 4)
        names = [[problem.name(e) for e in own] for own in ranked.examples]
        found.append((names, ranked.scores, ranked.classes))
    assert found[0] == found[1]


def test_order_of_rows_does_not_matter():
    check_orders()


def test_planted_seed_by_the_clock(monkeypatch):
    seeds = iter(range(10))
    real = prepare.train_retriever
    monkeypatch.setattr(prepare, "train_retriever", lambda *w, seed, **m: real(
        *w, seed=next(seeds), **m))  # fmt: skip
    with pytest.raises(AssertionError):
        check_orders()


def test_the_oracle_takes_the_most_useful():
    world = planted_world(planted_graph(60, text=True, edges=True))
    problem, query = world.problem, int(world.problem.queries[0])
    by = {c: [int(i) for i in problem.pool if problem.answers[i] == c][:2] for c in CLASSES}
    mixed = [e for c in CLASSES for e in by[c]]
    (found,) = by_utility(world, [mixed], np.array([query]), 2)
    assert sorted(found) == sorted(by[problem.answers[query]])


def test_weight_zero_asks_nothing():
    world = planted_world(planted_graph(40, text=True, edges=True))
    quick = replace(world.settings, feedback=FeedbackSettings(weight=0.0),
                    retriever=replace(QUICK, epochs=2))  # fmt: skip
    trained, told = train_ours(replace(world, settings=quick))
    assert told is None and "pairs" not in trained.told
