"""Log-probabilities of given tokens, block by block, without storing all logits."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from burnish.base.errors import IncompleteError

BLOCK_ROWS = 256  # rows whose logits exist at once: 50 MB in fp32 for a vocabulary of 49,152


def token_logprobs(
    hidden: Float[Tensor, "R d"],
    weight: Float[Tensor, "V d"],
    targets: Int[Tensor, " R"],
    *,
    block_rows: int = BLOCK_ROWS,
) -> Float[Tensor, " R"]:
    """Log-probability [nats] of one token per row, in fp32 or better; differentiable once.

    Logits exist for `block_rows` rows at a time. Forward keeps one number a row, the log-sum-exp;
    backward computes each block again and gives gradients for the rows and, where it is trained,
    the weight (also where that is the embedding, tied). Under autocast, products are in its type.
    Source: chunked cross-entropy, as in Liger Kernel (arXiv 2410.10989), here for one weight a
    token. Oracle: tests/models/test_head.py::test_chunked_equals_eager, ::test_gradcheck
    """
    device = hidden.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        hidden, weight = hidden.to(dtype), weight.to(dtype)
    return _TokenLogprobs.apply(hidden, weight, targets, block_rows)


def logprobs_at(
    head: Callable[[Tensor], Tensor],
    hidden: Float[Tensor, "R d"],
    rows: Int[Tensor, " M"],
    targets: Int[Tensor, " M"],
    *,
    block_rows: int = BLOCK_ROWS,
) -> Float[Tensor, " M"]:
    """Log-probability [nats] of `targets[m]` by row `rows[m]` (ascending), without a gradient.

    `head` is the model's own, of any precision; each row's logits are computed once, however many
    tokens are asked of it, and exist for `block_rows` rows at a time.
    Raises: IncompleteError, where one is NaN.
    Source: ours. Oracle: tests/models/test_head.py::test_several_tokens_of_a_row
    """
    found = []
    for start in range(0, len(hidden), block_rows):
        logits = head(hidden[start : start + block_rows])
        inside = (rows >= start) & (rows < start + block_rows)
        own, at = rows[inside] - start, targets[inside]
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        found.append(logits[own, at] - logits.logsumexp(-1)[own])
    return checked_numbers(torch.cat(found))


def largest_of(logits: Float[Tensor, "*R V"]) -> Int[Tensor, "*R"]:
    """The most likely token of each row; of equals the first.

    Raises: IncompleteError, where a row has a NaN.
    Source: ours. Oracle: tests/models/test_head.py::test_a_model_that_diverged_is_named
    """
    best = logits.argmax(dim=-1)
    checked_numbers(logits.gather(-1, best[..., None]))
    return best


def checked_numbers(values: Tensor) -> Tensor:
    """The values. Raises: IncompleteError, where one is NaN, as of a model that diverged."""
    if bool(values.isnan().any()):  # infinite is in order: penalties and masks give that
        remedy = "The weights or their arithmetic overflowed: check them, or use --precision fp32"
        raise IncompleteError("output of the model", math.nan, "must be numbers", remedy=remedy)
    return values


def logprobs_of(logits: Float[Tensor, "R V"], targets: Int[Tensor, " R"]) -> Float[Tensor, " R"]:
    """Log-probability [nats] of one token per row from complete logits, in fp32 or better."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return logits.gather(-1, targets[:, None])[:, 0] - logits.logsumexp(-1)


class _TokenLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, block: int) -> Tensor:
        exact = torch.promote_types(hidden.dtype, torch.float32)
        normalisers = hidden.new_empty(len(hidden), dtype=exact)
        at_target = torch.empty_like(normalisers)
        for start in range(0, len(hidden), block):
            rows = slice(start, start + block)
            logits = F.linear(hidden[rows], weight).to(exact)
            normalisers[rows] = logits.logsumexp(-1)
            at_target[rows] = logits.gather(-1, targets[rows, None])[:, 0]
        ctx.save_for_backward(hidden, weight, targets, normalisers)
        ctx.block = block
        return at_target - normalisers

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, targets, normalisers = ctx.saved_tensors
        wants_hidden, wants_weight, *_ = ctx.needs_input_grad
        by_hidden = torch.empty_like(hidden) if wants_hidden else None
        by_weight = torch.zeros_like(weight, dtype=normalisers.dtype) if wants_weight else None
        for start in range(0, len(hidden), ctx.block):
            rows = slice(start, start + ctx.block)
            # d logp / d logits is (one at the target) - probabilities
            slope = F.linear(hidden[rows], weight).to(normalisers.dtype)
            slope.sub_(normalisers[rows, None]).exp_().mul_(-upstream[rows, None])
            slope.scatter_add_(-1, targets[rows, None], upstream[rows, None])
            if by_weight is not None:
                by_weight.addmm_(slope.T, hidden[rows].to(slope.dtype))
            if by_hidden is not None:
                by_hidden[rows] = slope.to(weight.dtype) @ weight
        return by_hidden, None if by_weight is None else by_weight.to(weight.dtype), None, None
