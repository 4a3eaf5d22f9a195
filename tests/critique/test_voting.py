"""Exact Maj@K against enumeration of all subsets."""

import itertools
from collections import Counter

import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from burnish.base.errors import SettingError
from burnish.critique import voting
from burnish.critique.voting import majority_at_k


def brute(classes, right, k):
    total = 0.0
    subsets = list(itertools.combinations(classes, k))
    for subset in subsets:
        counts = Counter(one for one in subset if one is not None)
        best = max(counts.values(), default=0)
        winners = [one for one, count in counts.items() if count == best]
        total += (right in winners) / max(1, len(winners))
    return total / len(subsets)


PLANTED = ["a", "a", "b", "b", "c", None, "a", "b", None]


def check_enumeration():
    for k in range(1, len(PLANTED) + 1):
        assert majority_at_k(PLANTED, "a", k) == pytest.approx(brute(PLANTED, "a", k)), k


def test_equals_enumeration():
    check_enumeration()


def test_planted_ties_that_are_won(monkeypatch):
    real = voting._ways
    monkeypatch.setattr(voting, "_ways", lambda *args: [sum(real(*args))])
    with pytest.raises(AssertionError):
        check_enumeration()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=7), st.data())
def test_random_samples(classes, data):
    k = data.draw(st.integers(1, len(classes)))
    assert majority_at_k(classes, "a", k) == pytest.approx(brute(classes, "a", k))


def test_one_and_two_votes_are_pass_at_one():
    classes = ["a"] * 3 + ["b"] * 5 + ["c"] * 2
    assert majority_at_k(classes, "a", 1) == pytest.approx(0.3)
    assert majority_at_k(["a"] * 3 + ["b"] * 5, "a", 2) == pytest.approx(3 / 8)


def test_large_k_of_two_answers_is_a_hypergeometric_tail():
    classes = ["a"] * 70 + ["b"] * 58
    tail = scipy.stats.hypergeom(128, 70, 63).sf(31)
    assert majority_at_k(classes, "a", 63) == pytest.approx(tail, rel=1e-9)


def test_wrong_k():
    with pytest.raises(SettingError):
        majority_at_k(["a"], "a", 2)
