"""`expected-attention`: keeps what queries still to come are expected to attend to."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from burnish.contracts.kv_policy import KVShape
from burnish.kv.evicting import EvictingMemory, Held, Limits
from burnish.kv.policies import kv_policies
from burnish.kv.retrieval.policy import check_least
from burnish.kv.rope import Rope, rotate


@kv_policies.register("expected-attention")
@dataclass(frozen=True, kw_only=True)
class ExpectedAttentionPolicy:
    """Per key head `budget_tokens` besides the sinks, the latest `window_tokens` among them.

    Queries are taken as Gaussian with the mean and covariance of those read so far, turned to the
    next `future_tokens` positions on average; a key counts by its expected exponential times the
    norm of its value.
    Source: KVPress (NVIDIA), arXiv 2510.00636, expected attention.
    Departure: after each chunk of the prefill instead of once after all of it.
    Oracle: tests/kv/test_evicting.py::test_expected_attention_equals_sampled_queries
    """

    budget_tokens: int = 1536
    num_sinks: int = 4
    window_tokens: int = 64
    future_tokens: int = 512
    positions: Literal["auto", "true", "packed"] = "auto"

    def __post_init__(self) -> None:
        check_least("num_sinks", self.num_sinks, 0)
        for name in ("budget_tokens", "window_tokens", "future_tokens"):
            check_least(name, getattr(self, name), 1)

    @property
    def view(self) -> None:
        """No fixed part of the text."""
        return None

    @property
    def most_distance_tokens(self) -> int | None:
        """All that is kept, once positions are packed."""
        return None if self.positions == "true" else self.budget_tokens + self.num_sinks

    def open(self, shape: KVShape) -> EvictingMemory:
        """An empty memory."""
        limits = Limits(
            budget_tokens=self.budget_tokens,
            num_sinks=self.num_sinks,
            latest_tokens=min(self.window_tokens, self.budget_tokens),
            positions=self.positions,
        )
        return EvictingMemory(shape, limits, Expected(self.future_tokens))


class Expected:
    """Expected attention of future queries."""

    num_recent = 1
    needs_moments = True

    def __init__(self, future_tokens: int) -> None:
        self._future_tokens = future_tokens

    def __call__(self, held: Held, rope: Rope, num_tokens: int) -> Float[Tensor, "K T"]:
        """Expected share of each key, mean over its group, times the norm of its value."""
        count, total, products = held.moments
        mean = total / count
        spread = products / count - mean[:, :, None] * mean[:, None]
        keys, values = held.cells.float()
        turn = self._mean_turn(rope, num_tokens, keys)
        mean, spread = mean @ turn.T, turn @ spread @ turn.T
        rotation = rope.at(held.at.flatten(), keys.dtype)
        turned = rotate(keys.flatten(0, 1)[:, None], rotation)[:, 0].view(keys.shape)
        size = keys.shape[-1]
        group = len(mean) // len(keys)
        each = turned.repeat_interleave(group, 0)
        first = torch.einsum("htd,hd->ht", each, mean) / size**0.5
        second = torch.einsum("htd,hde,hte->ht", each, spread, each) / size / 2
        shares = (first + second).softmax(-1).unflatten(0, (len(keys), group)).mean(1)
        return shares * values.norm(dim=-1)

    def _mean_turn(self, rope: Rope, start: int, like: Tensor) -> Float[Tensor, "D D"]:
        """Mean of the rotations to the positions still to come, as a matrix on columns."""
        at = torch.arange(start, start + self._future_tokens, device=like.device)
        cos, sin = (part[:, 0].float().mean(0) for part in rope.at(at, torch.float32))
        unit = torch.eye(like.shape[-1], device=like.device)[:, None]
        mean = tuple(part.expand(len(unit), 1, -1) for part in (cos, sin))
        return rotate(unit, (mean[0], mean[1]))[:, 0].T
