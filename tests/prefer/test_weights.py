"""Weights of tokens by hand."""

from collections.abc import Callable

import pytest
import torch

from burnish.base.errors import SettingError
from burnish.prefer.weights import answer_sums, mean_weights, public_weights, sampled_weights


def check_public(weights: Callable[..., torch.Tensor]) -> None:
    found = weights([(2, 4), (3, 1), (2, 2)], alpha=0.25).tolist()
    assert found == [1, 1, 1, 1, 0.25, 0.25, 1, 0.25, 0.25, 1, 1, 1, 1, 1]


def test_public_weights_by_hand() -> None:
    check_public(public_weights)


def check_public_end(weights: Callable[..., torch.Tensor]) -> None:
    found = weights([(2, 4), (3, 1), (2, 2)], alpha=0.25, end="public").tolist()
    assert found == [1, 1, 1, 1, 0.25, 1, 1, 0.25, 1, 1, 1, 1, 1, 1]


def test_public_end_by_hand() -> None:
    check_public_end(public_weights)


def test_planted_end_that_is_not_heard() -> None:
    with pytest.raises(AssertionError):
        check_public_end(lambda lengths, *, alpha, end: public_weights(lengths, alpha=alpha))


def test_planted_off_by_one() -> None:
    def late(lengths: list[tuple[int, int]], *, alpha: float) -> torch.Tensor:
        rows = [
            1.0 if i <= min(pair) else alpha for pair in lengths for n in pair for i in range(n)
        ]
        return torch.tensor(rows)

    with pytest.raises(AssertionError):
        check_public(late)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_alpha_outside(alpha: float) -> None:
    with pytest.raises(SettingError, match=r"alpha must lie in \[0, 1\]"):
        public_weights([(1, 2)], alpha=alpha)


def test_mean_weights_by_hand() -> None:
    assert mean_weights([(1, 4)]).tolist() == [1.0, 0.25, 0.25, 0.25, 0.25]


def check_sampled(sample: Callable[..., torch.Tensor]) -> None:
    lengths, keys = [(3, 50), (40, 5), (7, 7)], ["a", "b", "c"]
    weights = sample(lengths, keys, seed=0)
    assert set(weights.tolist()) == {0.0, 1.0}
    assert answer_sums(weights, lengths).tolist() == [[3, 3], [5, 5], [7, 7]]
    swapped = sample(lengths[::-1], keys[::-1], seed=0)  # neighbours change no draw
    assert torch.equal(swapped[-53:], weights[:53])
    others = [sample(lengths, keys, seed=seed) for seed in range(1, 40)]
    drawn = torch.stack([weights, *others])[:, 3:53].mean(0)
    assert drawn.max() < 0.4  # 3 of 50 at random: no place is a favourite


def test_sampled_weights_count() -> None:
    check_sampled(sampled_weights)


def test_planted_first_tokens_instead_of_random_ones() -> None:
    def first(lengths: list[tuple[int, int]], keys: list[str], *, seed: int) -> torch.Tensor:
        return public_weights(lengths, alpha=0.0)

    with pytest.raises(AssertionError):
        check_sampled(first)


def test_answer_sums_by_hand() -> None:
    values = torch.arange(6.0)
    assert answer_sums(values, [(1, 2), (2, 1)]).tolist() == [[0, 3], [7, 5]]
