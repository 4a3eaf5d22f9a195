"""Losses that teach an order of candidates; scores and utilities have one row per query."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from burnish.base.errors import UnknownNameError
from burnish.base.naming import suggest

FLAT = 1e-6  # utilities that differ by less say nothing about the order


def listmle(
    scores: Float[Tensor, "B M"], utilities: Float[Tensor, "B M"], kept: Bool[Tensor, "B M"]
) -> Float[Tensor, " B"]:
    """Negative log-likelihood [nats] of the order of utilities, highest first, per query.

    Of equal utilities the first comes first. Entries that are not `kept` do not count.
    Source: Xia et al. 2008 (ListMLE): `-sum_i (s_i - log sum_{j >= i} exp s_j)`.
    Oracle: tests/graph/test_losses.py::test_likelihoods_of_all_orders_sum_to_one
    """
    low = torch.finfo(scores.dtype).min
    order = utilities.masked_fill(~kept, low).argsort(dim=1, descending=True, stable=True)
    sorted_kept = kept.gather(1, order)
    ranked = scores.gather(1, order).masked_fill(~sorted_kept, low)
    rest = ranked.flip(1).logcumsumexp(1).flip(1)
    return torch.where(sorted_kept, rest - ranked, torch.zeros_like(rest)).sum(1)


def kl_to_utilities(
    scores: Float[Tensor, "B M"], utilities: Float[Tensor, "B M"], kept: Bool[Tensor, "B M"]
) -> Float[Tensor, " B"]:
    """KL divergence [nats] from the utilities, as shares of their sum, to the scores' softmax.

    Source: Shi et al. 2023 (REPLUG), arXiv 2301.12652, with utilities as the target.
    Oracle: tests/graph/test_losses.py::test_kl_equals_scipy
    """
    low = torch.finfo(scores.dtype).min
    target = utilities.clamp_min(0).masked_fill(~kept, 0.0)
    target = target / target.sum(1, keepdim=True).clamp_min(torch.finfo(scores.dtype).tiny)
    logq = scores.masked_fill(~kept, low).log_softmax(1)
    return torch.where(target > 0, torch.special.xlogy(target, target) - target * logq, 0.0).sum(1)


def infonce(
    scores: Float[Tensor, "B M"], utilities: Float[Tensor, "B M"], kept: Bool[Tensor, "B M"]
) -> Float[Tensor, " B"]:
    """Cross-entropy [nats] of the most useful candidate among all.

    Source: Rubin et al. 2022 (EPR), arXiv 2112.08633, with one positive.
    Oracle: tests/graph/test_losses.py::test_infonce_is_cross_entropy
    """
    low = torch.finfo(scores.dtype).min
    best = utilities.masked_fill(~kept, low).argmax(1, keepdim=True)
    return -scores.masked_fill(~kept, low).log_softmax(1).gather(1, best)[:, 0]


LOSSES = {"listmle": listmle, "kl": kl_to_utilities, "infonce": infonce}


def feedback_loss(
    name: str,
    scores: Float[Tensor, "B M"],
    utilities: Float[Tensor, "B M"],
    kept: Bool[Tensor, "B M"],
) -> tuple[Float[Tensor, ""], int]:
    """Mean loss over the queries whose utilities differ, and how many queries were flat.

    A flat query has no order to teach: ListMLE would only teach the order of ties.
    Raises UnknownNameError.
    Source: ours. Oracle: tests/graph/test_losses.py::test_flat_queries_are_skipped
    """
    if name not in LOSSES:
        raise UnknownNameError("loss", name, "is not known", remedy=suggest(name, LOSSES))
    high = utilities.masked_fill(~kept, -torch.inf).amax(1)
    low = utilities.masked_fill(~kept, torch.inf).amin(1)
    told = (high - low > FLAT) & (kept.sum(1) > 1)
    if not told.any():
        return scores.sum() * 0, int((~told).sum())
    losses = LOSSES[name](scores[told], utilities[told], kept[told])
    return losses.mean(), int((~told).sum())
