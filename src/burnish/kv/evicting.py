"""Memory that forgets for good: each key head keeps the tokens that a score likes best."""

import copy
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from burnish.contracts.kv_policy import KVShape
from burnish.kv.grouped import grouped_scores
from burnish.kv.rope import Rope, rotate


@dataclass(frozen=True, kw_only=True, eq=False)
class Held:
    """What a layer holds: keys before rotation and values, where each stood, and recent queries.

    `moments` are the number, sum and products of all queries read, for scores that need them.
    """

    cells: Float[Tensor, "2 K T D"]
    at: Int[Tensor, "K T"]
    recent: Float[Tensor, "N H D"]
    moments: tuple[int, Tensor, Tensor]


@runtime_checkable
class Score(Protocol):
    """How much each held token is worth keeping, per key head."""

    num_recent: int
    needs_moments: bool

    def __call__(self, held: Held, rope: Rope, num_tokens: int) -> Float[Tensor, "K T"]:
        """Larger is better."""
        ...


@dataclass(frozen=True, kw_only=True)
class Limits:
    """`budget_tokens` are kept besides the sinks, the `latest_tokens` among them.

    `positions` of what is kept: `true`, or `packed` as if nothing else had been there; `auto`:
    packed beyond the model's window.
    """

    budget_tokens: int
    num_sinks: int
    latest_tokens: int
    positions: Literal["auto", "true", "packed"] = "auto"


class EvictingMemory:
    """Between passes a layer holds sinks and the budget; within a pass also the pass's rows.

    Source: ours, for SnapKV (arXiv 2404.14469) and expected attention, in chunked prefill.
    Oracle: tests/kv/test_evicting.py::test_a_chunk_sees_only_what_was_kept
    """

    def __init__(self, shape: KVShape, limits: Limits, score: Score) -> None:
        self.shape, self.limits, self._score = shape, limits, score
        self.rope = Rope(shape.config)
        self.max_position = getattr(shape.config, "max_position_embeddings", None)
        self.peak_tokens = 0
        size = (2, shape.num_kv_heads, 0, shape.head_dim)
        empty = torch.zeros(size, dtype=shape.dtype, device=shape.device)
        none = torch.zeros((shape.num_kv_heads, 0), dtype=torch.long, device=shape.device)
        queries = empty.new_zeros((0, 1, shape.head_dim))
        start = Held(cells=empty, at=none, recent=queries, moments=(0, queries, queries))
        self.layers = [start] * shape.num_layers
        self._num_tokens = self._num_rows = 0

    @property
    def num_tokens(self) -> int:
        """Tokens that were read so far."""
        return self._num_tokens

    @property
    def num_kept_tokens(self) -> int:
        """Tokens that a head holds now."""
        return self.layers[0].cells.shape[2]

    def attend(self, num_rows: int) -> "EvictingAttend":
        """Attention of the next `num_rows` tokens."""
        self._num_rows = num_rows
        return EvictingAttend(self, num_rows)

    def advance(self) -> None:
        """Count the rows of the last `attend` as read, and forget what the budget does not hold."""
        self._num_tokens += self._num_rows
        for layer, held in enumerate(self.layers):
            if held.cells.shape[2] > self.limits.num_sinks + self.limits.budget_tokens:
                self.layers[layer] = self._kept(held)

    def mark(self) -> Any:
        """The present state."""
        return list(self.layers), self._num_tokens

    def rewind(self, mark: Any) -> None:
        """Return to a mark."""
        self.layers, self._num_tokens = list(mark[0]), mark[1]

    def fork(self) -> "EvictingMemory":
        """An independent memory in the same state; cells are never written in place."""
        other = copy.copy(self)
        other.layers = list(self.layers)
        return other

    def append(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Held:
        """A layer with new rows behind what it holds, and their queries among the recent ones."""
        held = self.layers[layer]
        new = torch.stack((key, value)).transpose(1, 2)
        rows = torch.arange(self._num_tokens, self._num_tokens + len(key), device=key.device)
        recent = (
            query if held.recent.shape[1] != query.shape[1] else torch.cat((held.recent, query))
        )
        held = replace(
            held,
            cells=torch.cat((held.cells, new), dim=2),
            at=torch.cat((held.at, rows.expand(new.shape[1], -1)), dim=1),
            recent=recent[-self._score.num_recent :].clone(),
            moments=_joined(held.moments, query) if self._score.needs_moments else held.moments,
        )
        self.layers[layer] = held
        self.peak_tokens = max(self.peak_tokens, held.cells.shape[2])
        return held

    def _kept(self, held: Held) -> Held:
        limits, num = self.limits, held.cells.shape[2]
        scores = self._score(held, self.rope, self._num_tokens).float()
        sure = (held.at < limits.num_sinks) | (held.at >= self._num_tokens - limits.latest_tokens)
        scores = scores.masked_fill(sure, float("inf"))
        num = limits.num_sinks + limits.budget_tokens
        index = scores.topk(num, dim=-1).indices.sort(-1).values
        heads = torch.arange(len(index), device=index.device)[:, None]
        return replace(held, cells=held.cells[:, heads, index], at=held.at.gather(1, index))


def _joined(moments: tuple[int, Tensor, Tensor], query: Tensor) -> tuple[int, Tensor, Tensor]:
    count, total, products = moments
    rows = query.float()
    new = rows.sum(0), torch.einsum("nhd,nhe->hde", rows, rows)
    if count == 0:
        return len(query), *new
    return count + len(query), total + new[0], products + new[1]


class EvictingAttend:
    """Attention of new rows over what each key head holds, and over themselves.

    Source: ours. Oracle: tests/kv/test_evicting.py::test_mask_after_eviction
    """

    def __init__(self, memory: EvictingMemory, num_rows: int) -> None:
        self._memory, self._start = memory, memory.num_tokens
        self._end = self._start + num_rows
        placing, most = memory.limits.positions, memory.max_position
        beyond = placing == "auto" and most is not None and self._end > most
        self._packed = placing == "packed" or beyond

    def __call__(
        self,
        layer: int,
        query: Float[Tensor, "N H D"],
        key: Float[Tensor, "N K D"],
        value: Float[Tensor, "N K D"],
    ) -> Float[Tensor, "N H D"]:
        """Attention output of every row; keeps keys and values."""
        held = self._memory.append(layer, query, key, value)
        rows = torch.arange(self._start, self._end, device=query.device)
        seen = self._seen(layer, held.at, rows)
        at = held.at
        if self._packed:
            at = torch.arange(at.shape[1], device=at.device).expand_as(at)
            rows = rows - self._end + at.shape[1]
        keys, values = held.cells
        turned = rotate(keys.flatten(0, 1)[:, None], self._rotation(at.flatten(), keys.dtype))
        turned = turned[:, 0].view(keys.shape)
        scores = grouped_scores(rotate(query, self._rotation(rows, query.dtype)), turned)
        scores.masked_fill_(~seen[:, None], float("-inf"))
        wide = torch.promote_types(scores.dtype, torch.float32)
        shares = scores.softmax(-1, dtype=wide).to(values.dtype)
        out = shares.flatten(1, 2) @ values
        return out.unflatten(1, shares.shape[1:3]).permute(2, 0, 1, 3).flatten(1, 2)

    def _rotation(self, at: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        return self._memory.rope.at(at, dtype)

    def _seen(self, layer: int, at: Tensor, rows: Tensor) -> Bool[Tensor, "K N T"]:
        distance = rows[:, None] - at[:, None]
        seen, window = distance >= 0, self._memory.shape.windows[layer]
        return seen if window is None else seen & (distance < window)
