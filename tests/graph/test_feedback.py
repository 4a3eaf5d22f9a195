"""Feedback: cross-fitting, the budget, what is told."""

from dataclasses import replace

import numpy as np
import pytest
from fixtures.graphs import QUICK, copying, planted_graph, planted_world

from burnish.graph import feedback, learn
from burnish.graph.feedback import chosen_pairs, collect_feedback, cross_fitted, describe
from burnish.graph.settings import FeedbackSettings

WORLD = planted_world(planted_graph(90, text=True, edges=True))
SETTINGS = WORLD.settings.feedback


def check_cross_fitting(monkeypatch):
    """Each network learns from places that its queries are not among."""
    seen = []
    real = learn._Course.supervised

    def watched(self, places):
        seen.append(set(places.tolist()))
        return real(self, places)

    monkeypatch.setattr(learn._Course, "supervised", watched)
    problem, how = WORLD.problem, replace(QUICK, epochs=1)
    ranked, doubt = cross_fitted(problem, WORLD.features, SETTINGS, how, seed=0)
    everything = set(range(len(problem.pool)))
    assert len(seen) == 3 and set.union(*(everything - kept for kept in seen)) == everything
    assert sum(len(everything - kept) for kept in seen) == len(everything)
    assert (ranked != np.arange(len(ranked))[:, None]).all() and (doubt > 0).all()
    assert ranked.shape == (len(problem.pool), 9)


def test_no_network_has_seen_its_queries(monkeypatch):
    check_cross_fitting(monkeypatch)


def test_planted_network_of_all(monkeypatch):
    real = feedback.train_retriever

    def on_all(problem, features, how, *, seed, kept):
        return real(problem, features, how, seed=seed)

    monkeypatch.setattr(feedback, "train_retriever", on_all)
    with pytest.raises(AssertionError):
        check_cross_fitting(monkeypatch)


def check_budget():
    num = len(WORLD.problem.pool)
    ranked = np.stack([np.delete(np.arange(num), i)[:9] for i in range(num)])
    doubt = np.arange(num, dtype=float)
    whole = feedback.chosen_pairs(WORLD.asker, ranked, doubt, SETTINGS)
    assert len(whole[0]) == num and whole[1].shape == (num, 6)
    tight = replace(SETTINGS, tokens=2000)
    queries, candidates = feedback.chosen_pairs(WORLD.asker, ranked, doubt, tight)
    pool = WORLD.problem.pool
    cost = sum(
        WORLD.asker.cost(int(pool[q]), [int(pool[c])])
        for q, own in zip(queries, candidates, strict=True)
        for c in own
    )
    assert 0 < len(queries) < num and cost <= 2000
    assert queries.tolist() == list(range(num - len(queries), num))  # the least sure first


def test_the_budget_bounds_the_pairs():
    check_budget()
    none, empty = chosen_pairs(
        WORLD.asker, np.zeros((3, 9), dtype=int), np.ones(3), replace(SETTINGS, tokens=0)
    )
    assert len(none) == len(empty) == 0


def test_planted_order_of_the_file(monkeypatch):
    monkeypatch.setattr(feedback.np, "lexsort", lambda keys: np.arange(len(keys[0])))
    with pytest.raises(AssertionError):
        check_budget()


def test_what_is_told():
    world = planted_world(planted_graph(90, text=True, edges=True), copying)
    collected = collect_feedback(
        world.asker, world.features, replace(SETTINGS, folds=2), QUICK, seed=0
    )
    told, given = collected.told, collected.feedback
    assert told["pairs"] == int((given.candidates >= 0).sum()) and told["tokens"] > 0
    assert told["same_label"] == pytest.approx(1.1 / 1.3)
    assert told["other_label"] is None or told["other_label"] == pytest.approx(0.1 / 1.3)
    nothing = describe(world.problem, np.array([], dtype=int), given.candidates[:0],
                       given.utilities[:0])  # fmt: skip
    assert nothing == {"queries": 0, "pairs": 0, "flat_queries": 0}
    assert FeedbackSettings().folds == 4


def test_a_large_pool_asks_in_one_fold(monkeypatch):
    monkeypatch.setattr(feedback, "LARGE", 10)
    how = replace(QUICK, epochs=1)
    ranked, _ = cross_fitted(WORLD.problem, WORLD.features, SETTINGS, how, seed=0)
    asking = (ranked >= 0).any(axis=1).sum()
    assert asking == len(WORLD.problem.pool) // 3
