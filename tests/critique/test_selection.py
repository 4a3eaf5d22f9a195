"""Choosing by score: enumeration, closed forms with planted probabilities, equal tokens by hand."""

import itertools

import numpy as np
import pytest
from fixtures.critics import actor, chains
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom

from burnish.base.rng import stream
from burnish.base.stats import pass_at_k, wilson
from burnish.critique import selection as module
from burnish.critique.refinement import RefineSettings, first_answers
from burnish.critique.selection import (
    Scoring,
    area_under_curve,
    best_of_at_k,
    compare_selection,
    votes_at_equal_tokens,
    weighted_at_k,
)
from burnish.critique.voting import majority_at_k

ANSWERS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", None]), st.sampled_from([0.0, 0.25, 0.5, 1.0])),
    min_size=1, max_size=7,
)  # fmt: skip


def check_enumeration(best_of, weighted, found, k):
    """Every subset, every tie."""
    k = min(k, len(found))
    classes, scores = [one for one, _ in found], [score for _, score in found]
    rights = [one == "a" for one in classes]
    best, votes = [], []
    for some in itertools.combinations(range(len(found)), k):
        top = [i for i in some if scores[i] == max(scores[j] for j in some)]
        best.append(np.mean([rights[i] for i in top]))
        sums = {}
        for i in some:
            if classes[i] is not None:
                sums[classes[i]] = sums.get(classes[i], 0) + scores[i]
        first = [one for one in sums if sums[one] == max(sums.values())]
        votes.append(("a" in first) / len(first) if first else 0.0)
    rng = stream(0, "subsets")
    assert best_of(rights, scores, k) == pytest.approx(np.mean(best))
    assert weighted(classes, scores, "a", k, rng) == pytest.approx(np.mean(votes))


@settings(max_examples=60, deadline=None)
@given(ANSWERS, st.integers(1, 7))
def test_equal_enumeration(found, k):
    check_enumeration(best_of_at_k, weighted_at_k, found, k)


def test_planted_ties_that_go_to_the_first():
    def first(rights, scores, k):
        order = sorted(range(len(rights)), key=lambda i: -scores[i])
        found = [rights[next(i for i in order if i in some)]
                 for some in itertools.combinations(range(len(rights)), k)]  # fmt: skip
        return float(np.mean(found))

    with pytest.raises(AssertionError):
        check_enumeration(first, weighted_at_k, [("a", 0.5), ("b", 0.5), ("b", 0.5)], 2)


def test_identities():
    """Perfect scores: pass@K. Equal scores: pass@1, and the plain majority."""
    rights = [True, False, False, True, False, False, False]
    classes = ["a" if right else "b" for right in rights]
    rng = stream(0, "subsets")
    for k in range(1, 8):
        assert best_of_at_k(rights, [float(r) for r in rights], k) == pytest.approx(
            pass_at_k(7, 2, k)
        )
        assert best_of_at_k(rights, [0.3] * 7, k) == pytest.approx(2 / 7)
        found = weighted_at_k(classes, [0.3] * 7, "a", k, rng)
        assert found == pytest.approx(majority_at_k(classes, "a", k))
    one = weighted_at_k(classes, [0.9, 0.1, 0.1, 0.9, 0.1, 0.1, 0.1], "a", 7, rng)
    assert one == 1.0 and majority_at_k(classes, "a", 7) == 0.0


def test_many_subsets_are_drawn():
    classes = ["a"] * 20 + ["b"] * 20
    scores = [0.6] * 20 + [0.4] * 20
    found = weighted_at_k(classes, scores, "a", 9, stream(1, "subsets"))
    wanted = hypergeom(40, 20, 9).sf(3)  # 0.6 a > 0.4 (9 - a) from a = 4 on
    assert found == pytest.approx(wanted, abs=0.09)


def test_area_by_hand():
    assert area_under_curve([True, False, True, False], [0.9, 0.5, 0.5, 0.1]) == 3.5 / 4
    assert area_under_curve([True, True], [0.1, 0.9]) is None


PASSES, FLAGS, PATHS = 0.8, 0.7, 6


def planted(num=150):
    """First answers of an actor that is right half the time, and a verdict with planted rates."""
    tasks = chains(num)
    turns = first_answers(tasks, actor(), RefineSettings(num_paths=PATHS), seed=3)
    rng = stream(0, "verdicts")
    scores = [float(rng.random() < (PASSES if t.right else 1 - FLAGS)) for t in turns]
    return tasks, turns, Scoring(scores=scores, tokens=30.0)


def check_planted(compare):
    """P(best of K is right), for a score of 1 or 0 with planted rates.

    With a = p s + (1 - p)(1 - d): (1 - (1 - a)^K) p s / a + (1 - a)^K p (1 - s) / (1 - a).
    """
    tasks, turns, scoring = planted()
    p = sum(t.right for t in turns) / len(turns)
    a = p * PASSES + (1 - p) * (1 - FLAGS)
    found = compare(tasks, turns, scoring, turns, seed=0)
    assert [row["k"] for row in found["rows"]] == [1, 2, 4, 6]
    for row in found["rows"]:
        none = (1 - a) ** row["k"]
        wanted = (1 - none) * p * PASSES / a + none * p * (1 - PASSES) / (1 - a)
        one = wilson(round(row["best_of"]["value"] * 150), 150, confidence=0.999)
        assert one.low <= wanted <= one.high, row["k"]
    assert found["auroc"] == pytest.approx((PASSES + FLAGS) / 2, abs=0.04)
    last = found["rows"][-1]
    assert last["best_of"]["value"] > found["rows"][0]["best_of"]["value"] + 0.1
    assert found["rows"][0]["best_of"]["value"] == pytest.approx(p)


def test_planted_probabilities():
    check_planted(compare_selection)


def test_planted_scores_of_other_answers(monkeypatch):
    """Each answer has the score of the next one."""

    def shifted(tasks, turns, scoring, plain, *, seed):
        moved = Scoring(scores=[*scoring.scores[1:], scoring.scores[0]], tokens=scoring.tokens)
        return compare_selection(tasks, turns, moved, plain, seed=seed)

    with pytest.raises(AssertionError):
        check_planted(shifted)


def test_planted_lowest_score_that_wins(monkeypatch):
    exact = module.best_of_at_k
    turned = lambda rights, scores, k: exact(rights, [-s for s in scores], k)  # noqa: E731
    monkeypatch.setattr(module, "best_of_at_k", turned)
    with pytest.raises(AssertionError):
        check_planted(compare_selection)


def test_equal_tokens_by_hand():
    tasks, turns, _ = planted(4)
    plain = sum(t.tokens for t in turns) / len(turns)
    scoring = Scoring(scores=[0.5] * len(turns), tokens=2 * plain)
    assert votes_at_equal_tokens(2, turns, scoring) == 6
    rows = compare_selection(tasks, turns, scoring, turns, seed=0)["rows"]
    assert [row["plain_votes"] for row in rows] == [3, 6, 6, 6]
    assert [row["equal"] for row in rows] == [True, True, False, False]
    assert rows[1]["tokens"] == pytest.approx(2 * 3 * plain)
    assert rows[1]["majority"] != rows[1]["plain_same_tokens"]
