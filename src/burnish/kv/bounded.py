"""Memory of a bounded policy: the first few tokens (sinks) and the latest ones."""

import copy

import torch
from jaxtyping import Float
from torch import Tensor

from burnish.contracts.kv_policy import KVShape, View
from burnish.kv.grouped import grouped_scores
from burnish.kv.rope import Rope, rotate


class BoundedMemory:
    """Rotated keys, and values, of the sinks and of the latest tokens.

    Cells `[2 K T D]` of a layer are never written in place, so a mark only refers to them.
    """

    def __init__(self, shape: KVShape, view: View) -> None:
        self._shape, self._rope = shape, Rope(shape.config)
        self.budget_tokens, self.num_sinks = view.num_tokens, view.num_sinks
        self.positions = view.positions
        size = (2, shape.num_kv_heads, 0, shape.head_dim)
        empty = torch.zeros(size, dtype=shape.dtype, device=shape.device)
        self._cells: list[Tensor] = [empty] * shape.num_layers
        self._num_tokens = self._num_rows = 0

    @property
    def num_tokens(self) -> int:
        """Tokens that were read so far."""
        return self._num_tokens

    @property
    def num_kept_tokens(self) -> int:
        """Sinks and latest tokens held now."""
        return min(self._num_tokens, self.budget_tokens)

    def attend(self, num_rows: int) -> "BoundedAttend":
        """Attention of the next `num_rows` tokens."""
        self._num_rows = num_rows
        return BoundedAttend(self, num_rows)

    def advance(self) -> None:
        """Count the rows of the last `attend` as read."""
        self._num_tokens += self._num_rows

    def mark(self) -> tuple[int, list[Tensor]]:
        """The present state."""
        return self._num_tokens, list(self._cells)

    def rewind(self, mark: tuple[int, list[Tensor]]) -> None:
        """Return to a mark."""
        self._num_tokens, self._cells = mark[0], list(mark[1])

    def fork(self) -> "BoundedMemory":
        """An independent memory in the same state; cells are shared until they change."""
        other = copy.copy(self)
        other._cells = list(self._cells)
        return other

    def append(self, layer: int, key: Tensor, value: Tensor) -> Float[Tensor, "2 K T D"]:
        """What was kept, and the new rows behind it; evicts what no later token will see."""
        new = torch.stack((key, value)).transpose(1, 2)
        cells = torch.cat((self._cells[layer], new), dim=2)
        if cells.shape[2] > self.budget_tokens:
            latest = self.budget_tokens - self.num_sinks
            kept = cells[:, :, : self.num_sinks], cells[:, :, -latest:]
            self._cells[layer] = torch.cat(kept, dim=2)
        else:
            self._cells[layer] = cells
        return cells

    def rotation(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Cosine and sine at the positions."""
        return self._rope.at(positions, self._shape.dtype)

    def window(self, layer: int) -> int | None:
        """The model's own sliding window in a layer."""
        return self._shape.windows[layer]

    @property
    def device(self) -> torch.device:
        """Where the cells are."""
        return self._shape.device


class BoundedAttend:
    """Attention of new rows over sinks and latest tokens.

    Distances among the latest tokens are what they are in the text, so their keys are rotated
    once. With `packed` positions distances to the sinks shrink: for them a row stands at the end of
    its cache.

    Source: StreamingLLM, arXiv 2309.17453, section 3.2.
    Oracle: tests/kv/test_policies.py::test_window_equals_eviction_token_by_token
    """

    def __init__(self, memory: BoundedMemory, num_rows: int) -> None:
        self._memory = memory
        start, budget, sinks = memory.num_tokens, memory.budget_tokens, memory.num_sinks
        rows = torch.arange(start, start + num_rows, device=memory.device)
        held = torch.arange(memory.num_kept_tokens, device=memory.device)
        held = torch.where(held < sinks, held, held + start - memory.num_kept_tokens)
        keys = torch.cat((held, rows))
        packed = memory.positions == "packed"
        inside = rows.clamp(max=budget - 1) if packed else rows
        self._is_sink = keys < sinks
        self._distance = torch.where(
            self._is_sink, inside[:, None] - keys, rows[:, None] - keys
        ).masked_fill_(keys > rows[:, None], -1)
        latest = (self._distance >= 0) & (self._distance < budget - sinks)
        self._seen = latest | (self._is_sink & (self._distance >= 0))
        self._rotation, self._inside = memory.rotation(rows), memory.rotation(inside)
        self._moves = bool(rows[-1] > inside[-1]) and sinks > 0

    def __call__(
        self,
        layer: int,
        query: Float[Tensor, "N H D"],
        key: Float[Tensor, "N K D"],
        value: Float[Tensor, "N K D"],
    ) -> Float[Tensor, "N H D"]:
        """Attention output of every row; keeps keys and values."""
        keys, values = self._memory.append(layer, rotate(key, self._rotation), value)
        scores = grouped_scores(rotate(query, self._rotation), keys)
        if self._moves:
            at_end = grouped_scores(rotate(query, self._inside), keys[:, : self._memory.num_sinks])
            scores[..., : at_end.shape[-1]] = at_end
        window, seen = self._memory.window(layer), self._seen
        seen = seen if window is None else seen & (self._distance < window)
        shares = scores.masked_fill_(~seen, float("-inf")).softmax(-1)
        return (shares.flatten(1, 2) @ values).unflatten(1, shares.shape[1:3]).permute(
            2, 0, 1, 3
        ).flatten(1, 2)  # fmt: skip
