"""Memory of a policy without a limit: every key and value is kept."""

import copy
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from burnish.contracts.kv_policy import KVShape
from burnish.kv.grouped import attend_behind, attend_grouped, group_mask
from burnish.kv.rope import Rope, rotate

LEAST_TOKENS = 1024  # room that a memory begins with; it doubles


class FullMemory:
    """Keys (rotated) and values of one sequence; a mark is its length, since nothing moves."""

    def __init__(self, shape: KVShape) -> None:
        self._shape, self._rope = shape, Rope(shape.config)
        self._cells = self._room(LEAST_TOKENS)
        self._num_tokens = self._num_rows = 0

    @property
    def num_tokens(self) -> int:
        """Tokens that were read so far."""
        return self._num_tokens

    @property
    def num_kept_tokens(self) -> int:
        """All of them."""
        return self._num_tokens

    def attend(self, num_rows: int) -> "FullAttend":
        """Attention of the next `num_rows` tokens."""
        self._num_rows = num_rows
        room = self._cells.shape[3]
        if (end := self._num_tokens + num_rows) > room:
            cells = self._room(max(2 * room, end))
            cells[:, :, :, :room] = self._cells
            self._cells = cells
        return FullAttend(
            self._cells[:, :, :, :end],
            start=self._num_tokens,
            rope=self._rope,
            windows=self._shape.windows,
        )

    def advance(self) -> None:
        """Count the rows of the last `attend` as read."""
        self._num_tokens += self._num_rows

    def mark(self) -> int:
        """The present length."""
        return self._num_tokens

    def rewind(self, mark: int) -> None:
        """Forget what was read after the mark."""
        self._num_tokens = mark

    def fork(self) -> "FullMemory":
        """An independent memory in the same state."""
        other = copy.copy(self)
        other._cells = self._cells.clone()
        return other

    def _room(self, num_tokens: int) -> Tensor:
        shape = self._shape
        size = (shape.num_layers, 2, shape.num_kv_heads, num_tokens, shape.head_dim)
        return torch.zeros(size, dtype=shape.dtype, device=shape.device)


class FullAttend:
    """Causal attention of the last rows of a sequence over all of it."""

    def __init__(
        self,
        cells: Float[Tensor, "L 2 K T D"],
        *,
        start: int,
        rope: Rope,
        windows: Sequence[int | None],
    ) -> None:
        self._cells, self._start, self._windows = cells, start, windows
        at = torch.arange(cells.shape[3], device=cells.device)
        self._distance = at[start:, None] - at
        self._rotation = rope.at(at[start:], cells.dtype)
        self._masks: dict[int | None, Tensor] = {}

    def __call__(
        self,
        layer: int,
        query: Float[Tensor, "N H D"],
        key: Float[Tensor, "N K D"],
        value: Float[Tensor, "N K D"],
    ) -> Float[Tensor, "N H D"]:
        """Attention output of every row; writes keys and values."""
        keys, values = self._cells[layer]
        keys[:, self._start :] = rotate(key, self._rotation).transpose(0, 1)
        values[:, self._start :] = value.transpose(0, 1)
        window = self._windows[layer]
        if window is None and query.device.type == "cpu":
            return attend_behind(rotate(query, self._rotation), keys, values)
        if window not in self._masks:
            seen = self._distance >= 0
            seen = seen if window is None else seen & (self._distance < window)
            self._masks[window] = group_mask(seen, query.shape[1] // len(keys), query.dtype)
        return attend_grouped(rotate(query, self._rotation), keys, values, self._masks[window])
