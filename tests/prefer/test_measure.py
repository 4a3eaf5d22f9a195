"""Margins, strata and their association with length, by hand."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from fixtures.training import fresh

from burnish.prefer.forward import answer_logprobs
from burnish.prefer.losses import Batch, ld_dpo
from burnish.prefer.measure import Scores, measure_margins, score_pairs
from burnish.prefer.pairs import all_lengths
from burnish.prefer.reference import FrozenCopy


def scores_of(lengths: Any, margins: Any, **changed: Any) -> Scores:
    """Scores whose margins are given: all of it public, in the chosen answer."""
    public = np.array([[m, 0.0] for m in margins])
    return Scores(lengths=np.array(lengths), public=public, tail=np.zeros_like(public), **changed)


def check_scores(score: Any, tiny_folder: Any, pairs: Any, alpha: float) -> None:
    """One evaluation gives LD-DPO's margin for an alpha that nobody named in it."""
    model = fresh(tiny_folder())
    reference = FrozenCopy(model.network)
    with torch.no_grad():
        model.network.model.norm.weight.mul_(0.8)
        policy = answer_logprobs(model.network, pairs)
        known = reference(model.network, pairs)
    batch = Batch(policy=policy, reference=known, lengths=all_lengths(pairs))
    wanted = ld_dpo(batch, alpha=alpha, beta=1.0).margins.numpy()
    found = score(model.network, pairs, reference=reference, pass_tokens=30)
    np.testing.assert_allclose(found.margins(alpha), wanted, atol=1e-4)
    np.testing.assert_array_equal(found.excess, [w - n for w, n in all_lengths(pairs)])
    drift = found.public.sum() + found.tail.sum()
    assert drift == pytest.approx(float((policy - known).sum()), abs=1e-3)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_scores_by_hand(alpha: float, tiny_folder: Any, pairs: Any) -> None:
    check_scores(score_pairs, tiny_folder, pairs, alpha)


def test_planted_tail_counted_twice(tiny_folder: Any, pairs: Any) -> None:
    def doubled(*given: Any, **named: Any) -> Scores:
        exact = score_pairs(*given, **named)
        return Scores(lengths=exact.lengths, public=exact.public, tail=2 * exact.tail)

    with pytest.raises(AssertionError):
        check_scores(doubled, tiny_folder, pairs, 0.3)


def test_own_margins_are_the_losses(tiny_model: Any, pairs: Any) -> None:
    def loss(batch: Batch) -> Any:
        return ld_dpo(batch, alpha=0.2, beta=0.5, ld_reference="policy_only")

    network = tiny_model().network
    found = score_pairs(network, pairs, reference=FrozenCopy(network), loss=loss)
    known = FrozenCopy(network)(network, pairs)
    batch = Batch(policy=known, reference=known, lengths=all_lengths(pairs))
    np.testing.assert_allclose(found.own, loss(batch).margins.numpy(), atol=1e-4)


LENGTHS = [(9, 3), (8, 4), (3, 9), (2, 8), (5, 5), (10, 9)]
MARGINS = [2.0, 1.0, -1.0, 3.0, -2.0, 0.0]


def check_measures(measure: Any) -> None:
    found = measure(scores_of(LENGTHS, MARGINS, own=np.array([1.0, 1, 1, 1, 1, -1])))
    assert found.accuracy.value == pytest.approx(3 / 6)  # a tie is not right
    assert found.strata["chosen longer"].value == 1.0 and found.strata["chosen longer"].n == 2
    assert found.strata["rejected longer"].value == 0.5
    assert found.strata["alike"].value == 0.0 and found.strata["alike"].n == 2
    assert found.balanced_accuracy.value == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found.own_accuracy.value == pytest.approx(5 / 6)
    assert found.margin_nats.value == pytest.approx(0.5)
    assert found.chosen_drift_nats.value == pytest.approx(0.5)
    json.dumps(found.to_dict(), allow_nan=False)


def test_measures_by_hand() -> None:
    check_measures(measure_margins)


def test_planted_ties_count_as_right() -> None:
    def generous(scores: Scores) -> Any:
        return measure_margins(
            Scores(
                lengths=scores.lengths,
                public=scores.public + np.array([1e-9, 0.0]),
                tail=scores.tail,
                own=scores.own,
            )
        )

    with pytest.raises(AssertionError):
        check_measures(generous)


def test_a_judge_of_length_alone_is_right_half_of_the_time() -> None:
    excess = np.array([5, 3, 7, -2, 4, 6, -1, 8])
    lengths = np.stack([20 + excess, np.full(8, 20)], axis=1)
    found = measure_margins(scores_of(lengths, 0.1 * excess))
    assert found.accuracy.value == 6 / 8
    assert found.balanced_accuracy.value == 0.5
    assert found.spearman.value == pytest.approx(1.0)
    assert found.slope.value == pytest.approx(0.1)


def test_what_cannot_be_had_is_none() -> None:
    found = measure_margins(scores_of([(4, 4)] * 5, [1.0, -1, 2, 3, -2]))
    assert found.spearman is None and found.slope is None and found.balanced_accuracy is None
    assert found.strata["chosen longer"] is None
    assert found.own_accuracy is None
