"""Pulls on tokens in closed form."""

import math
from typing import Any

import pytest
import torch

from burnish.prefer.forward import answer_logprobs
from burnish.prefer.losses import Batch, ld_dpo
from burnish.prefer.pulls import token_pulls
from burnish.prefer.reference import FrozenCopy


def check_pulls(tiny_model: Any, pair: Any, sign: float = 1.0) -> None:
    """beta sigma(-m) up to the public length, alpha times it past that."""
    network = tiny_model().network

    def loss(batch: Batch) -> Any:
        return ld_dpo(batch, alpha=0.25, beta=0.5, ld_reference="policy_only")

    reference = FrozenCopy(network)
    found = token_pulls(network, pair, loss=loss, reference=reference)
    with torch.no_grad():
        policy = answer_logprobs(network, [pair])
    batch = Batch(policy=policy, reference=reference(network, [pair]), lengths=(pair.lengths,))
    pull = 0.5 / (1 + math.exp(float(loss(batch).margins)))
    public = min(pair.lengths)
    weights = [[1.0 if i < public else 0.25 for i in range(n)] for n in pair.lengths]
    assert found.chosen == pytest.approx([sign * pull * w for w in weights[0]], rel=1e-4)
    assert found.rejected == pytest.approx([-sign * pull * w for w in weights[1]], rel=1e-4)


@pytest.mark.parametrize("place", range(5))
def test_pulls_in_closed_form(place: int, tiny_model: Any, pairs: Any) -> None:
    check_pulls(tiny_model, pairs[place])


def test_planted_derivative_instead_of_pull(tiny_model: Any, pairs: Any) -> None:
    with pytest.raises(AssertionError):
        check_pulls(tiny_model, pairs[1], sign=-1.0)
