"""Votes over layers and passes, by hand."""

import dataclasses

import numpy as np
import pytest

from burnish.kv.retrieval.votes import Votes


def check_weights() -> None:
    votes = Votes(keep=0.5).opened()
    assert not votes.now.any() and votes.best(9, 4).tolist() == []
    votes = votes.with_votes(np.array([2.0, 0.0]), 2)
    votes = votes.with_votes(np.array([0.0, 1.0, 6.0]), 1)  # a layer with more far tokens
    np.testing.assert_allclose(votes.now, [2 / 3, 1 / 3, 2])
    votes = votes.closed(3)
    np.testing.assert_allclose(votes.values, np.array([2 / 3, 1 / 3, 2]) * (1 - 1 / 8))
    assert votes.opened().closed(5).values is votes.values  # nobody voted
    later = votes.opened().with_votes(np.array([0.0, 0.0, 0.0, 4.0]), 1)
    np.testing.assert_allclose(later.now[3], 4.0)
    assert later.best(3, 2).tolist() == [0, 2] and later.best(4, 1).tolist() == [3]
    old, new = votes.values, later.closed(1).values
    np.testing.assert_allclose(new, [*(0.5 * old), 2.0])


def test_weights_by_hand() -> None:
    check_weights()


def test_planted_votes_that_never_fade(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = Votes.closed

    def closed(self: Votes, num_rows: int) -> Votes:
        return exact(dataclasses.replace(self, keep=1.0), 1)

    monkeypatch.setattr(Votes, "closed", closed)
    with pytest.raises(AssertionError):
        check_weights()


def test_votes_of_spans_are_means() -> None:
    votes = Votes(keep=0.0)
    starts, lengths = np.array([0, 2, 3]), np.array([2, 1, 3])
    assert votes.of_spans(starts, lengths) is None
    votes = votes.restored(np.array([1.0, 3.0, 5.0, 6.0]))
    found = votes.of_spans(starts, lengths)
    assert found is not None and found.tolist() == [2.0, 5.0, 2.0]


def test_the_best_are_those_of_a_stable_order() -> None:
    """Among equal votes the earliest tokens come first."""
    values = np.random.default_rng(0).integers(0, 5, 97) / 4
    for num in (1, 20, 60, 96, 97, 120):
        wanted = np.sort(np.argsort(-values, kind="stable")[:num])
        assert Votes(keep=0.5, values=values).best(97, num).tolist() == wanted.tolist()
