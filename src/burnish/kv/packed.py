"""Attention over whole sequences without a cache: training and scoring."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from burnish.kv.rope import Rope, Rotation, Windows, repeat_kv, rotate


class PackedAttend:
    """Causal attention inside each of several sequences that stand one after another.

    Rows are laid out as `[sequence, longest]` for one kernel call; what lies behind the end of a
    short sequence is later in time, so a causal mask keeps it invisible.

    Source: ours. Oracle: tests/kv/test_packed.py::test_packed_equals_separate
    """

    def __init__(self, lengths: Sequence[int], rope: Rope, windows: Windows) -> None:
        self._rope, self._windows = rope, windows
        self._rotation: Rotation | None = None
        self._num, self._longest = len(lengths), max(lengths)
        sizes = torch.tensor(lengths)
        starts = torch.repeat_interleave(torch.arange(self._num) * self._longest, sizes)
        self.positions = torch.cat([torch.arange(length) for length in lengths])
        self._cells = starts + self.positions

    def to(self, device: torch.device) -> "PackedAttend":
        """Move the index tensors."""
        self.positions, self._cells = self.positions.to(device), self._cells.to(device)
        return self

    def __call__(
        self,
        layer: int,
        query: Float[Tensor, "N H D"],
        key: Float[Tensor, "N K D"],
        value: Float[Tensor, "N K D"],
    ) -> Float[Tensor, "N H D"]:
        """Attention output of every row."""
        if self._rotation is None:
            self._rotation = self._rope.at(self.positions, query.dtype)
        query, key = rotate(query, self._rotation), rotate(key, self._rotation)
        group = query.shape[1] // key.shape[1]
        query, key, value = (self._lay(rows) for rows in (query, key, value))
        out = F.scaled_dot_product_attention(
            query,
            repeat_kv(key, group),
            repeat_kv(value, group),
            attn_mask=self._mask(layer, query.device),
            is_causal=self._windows[layer] is None,
        )
        return out.transpose(1, 2).flatten(0, 1)[self._cells]

    def _lay(self, rows: Float[Tensor, "N H D"]) -> Float[Tensor, "B H T D"]:
        if len(rows) == self._num * self._longest:
            laid = rows
        else:
            laid = rows.new_zeros(self._num * self._longest, *rows.shape[1:])
            laid = laid.index_copy(0, self._cells, rows)
        return laid.unflatten(0, (self._num, self._longest)).transpose(1, 2)

    def _mask(self, layer: int, device: torch.device) -> Tensor | None:
        window = self._windows[layer]
        if window is None:
            return None
        at = torch.arange(self._longest, device=device)
        distance = at[:, None] - at[None, :]
        return (distance >= 0) & (distance < window)
