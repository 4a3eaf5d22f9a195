"""Where in two answers a loss pulls, token by token."""

from dataclasses import dataclass

import torch

from burnish.models.adapters import Adapter
from burnish.models.decoder import Decoder
from burnish.prefer.forward import answer_logprobs
from burnish.prefer.losses import Batch, Loss
from burnish.prefer.pairs import Pair
from burnish.prefer.reference import Reference


@dataclass(frozen=True, kw_only=True)
class Pulls:
    """How much a step raises each token's log-probability: minus the loss's derivative."""

    chosen: tuple[float, ...]
    rejected: tuple[float, ...]


def token_pulls(
    network: Decoder | Adapter, pair: Pair, *, loss: Loss, reference: Reference | None
) -> Pulls:
    """The pull on every token of a pair; LD-DPO's falls to `alpha` of itself past public length.

    Source: ours. Oracle: tests/prefer/test_pulls.py::test_pulls_in_closed_form
    """
    with torch.no_grad():
        policy = answer_logprobs(network, [pair])
        known = None if reference is None else reference(network, [pair]).to(policy.dtype)
    policy = policy.detach().requires_grad_(True)
    with torch.enable_grad():
        batch = Batch(policy=policy, reference=known, lengths=(pair.lengths,), keys=(pair.key,))
        (slope,) = torch.autograd.grad(loss(batch).losses.sum(), policy)
    values = (-slope).tolist()
    middle = len(pair.chosen)
    return Pulls(chosen=tuple(values[:middle]), rejected=tuple(values[middle:]))
