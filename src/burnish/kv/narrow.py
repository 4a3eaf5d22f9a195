"""Memory of all keys and values in 8 bits."""

import copy

import torch
from jaxtyping import Float, Int
from torch import Tensor

from burnish.contracts.kv_policy import KVShape
from burnish.kv.grouped import attend_grouped, group_mask
from burnish.kv.rope import Rope, rotate

LARGEST = 127
LEAST_TOKENS = 1024  # room that a memory begins with; it doubles


def narrowed(rows: Float[Tensor, "*N D"]) -> tuple[Int[Tensor, "*N D"], Float[Tensor, "*N 1"]]:
    """Whole numbers from -127 to 127, and the scale of each row.

    Source: ours. Oracle: tests/kv/test_narrow.py::test_rounding_is_at_most_half_a_step
    """
    scale = rows.float().abs().amax(-1, keepdim=True).clamp(min=1e-12) / LARGEST
    return (rows.float() / scale).round().to(torch.int8), scale


class NarrowMemory:
    """Keys (rotated) and values of one sequence as int8; a mark is its length.

    New rows see themselves and all before them rounded, whatever the chunks.
    """

    def __init__(self, shape: KVShape) -> None:
        self._shape, self._rope = shape, Rope(shape.config)
        self._num_tokens = self._num_rows = 0
        self._cells, self._scales = self._room(LEAST_TOKENS)

    @property
    def num_tokens(self) -> int:
        """Tokens that were read so far."""
        return self._num_tokens

    @property
    def num_kept_tokens(self) -> int:
        """All of them."""
        return self._num_tokens

    @property
    def num_bytes(self) -> int:
        """Size of what is held of the tokens read."""
        shape = self._shape
        heads = shape.num_layers * 2 * shape.num_kv_heads
        return heads * self._num_tokens * (shape.head_dim + self._scales.element_size())

    def attend(self, num_rows: int) -> "NarrowAttend":
        """Attention of the next `num_rows` tokens."""
        self._num_rows = num_rows
        room, end = self._cells.shape[3], self._num_tokens + num_rows
        if end > room:
            cells, scales = self._room(max(2 * room, end))
            cells[:, :, :, :room], scales[:, :, :, :room] = self._cells, self._scales
            self._cells, self._scales = cells, scales
        return NarrowAttend(self, num_rows)

    def advance(self) -> None:
        """Count the rows of the last `attend` as read."""
        self._num_tokens += self._num_rows

    def mark(self) -> int:
        """The present length."""
        return self._num_tokens

    def rewind(self, mark: int) -> None:
        """Forget what was read after the mark."""
        self._num_tokens = mark

    def fork(self) -> "NarrowMemory":
        """An independent memory in the same state."""
        other = copy.copy(self)
        other._cells, other._scales = self._cells.clone(), self._scales.clone()
        return other

    def put(self, layer: int, key: Tensor, value: Tensor) -> Float[Tensor, "2 K T D"]:
        """Store new rows, and give all rows back as numbers."""
        start, end = self._num_tokens, self._num_tokens + len(key)
        at = torch.arange(start, end, device=key.device)
        turned = rotate(key, self._rope.at(at, key.dtype))
        whole, scale = narrowed(torch.stack((turned, value)).transpose(1, 2))
        self._cells[layer, :, :, start:end], self._scales[layer, :, :, start:end] = whole, scale
        cells, scales = self._cells[layer, :, :, :end], self._scales[layer, :, :, :end]
        return (cells.float() * scales).to(key.dtype)

    def turned(self, query: Tensor) -> Tensor:
        """Queries at their positions."""
        at = torch.arange(self._num_tokens, self._num_tokens + len(query), device=query.device)
        return rotate(query, self._rope.at(at, query.dtype))

    def window(self, layer: int) -> int | None:
        """The model's own sliding window in a layer."""
        return self._shape.windows[layer]

    def _room(self, num_tokens: int) -> tuple[Tensor, Tensor]:
        shape = self._shape
        size = (shape.num_layers, 2, shape.num_kv_heads, num_tokens)
        cells = torch.zeros((*size, shape.head_dim), dtype=torch.int8, device=shape.device)
        return cells, torch.zeros((*size, 1), device=shape.device)


class NarrowAttend:
    """Causal attention over rounded keys and values."""

    def __init__(self, memory: NarrowMemory, num_rows: int) -> None:
        self._memory, end = memory, memory.num_tokens + num_rows
        at = torch.arange(end)
        self._distance = at[memory.num_tokens :, None] - at

    def __call__(
        self,
        layer: int,
        query: Float[Tensor, "N H D"],
        key: Float[Tensor, "N K D"],
        value: Float[Tensor, "N K D"],
    ) -> Float[Tensor, "N H D"]:
        """Attention output of every row; writes keys and values."""
        keys, values = self._memory.put(layer, key, value)
        seen, window = self._distance >= 0, self._memory.window(layer)
        seen = seen if window is None else seen & (self._distance < window)
        mask = group_mask(seen.to(query.device), query.shape[1] // len(keys), query.dtype)
        return attend_grouped(self._memory.turned(query), keys, values, mask)
