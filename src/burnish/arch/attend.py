"""Attention of packed windows: causal, inside each document or across."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from burnish.kv.rope import Rope, RowRotation, Windows, batched_heads


class WindowAttend:
    """Rows are consecutive windows of `T` tokens; a row sees earlier rows of its own window.

    `begins` marks rows with which a document begins: nothing before them is seen, but `across`.
    Windows without a border are one causal kernel call, the others one with a mask.
    Source: ours. Oracle: tests/arch/test_attend.py::test_equals_separate_documents
    """

    def __init__(
        self, rope: Rope, windows: Windows, *, begins: Bool[Tensor, "B T"], across: bool = False
    ) -> None:
        self._windows, self._device = windows, begins.device
        self._num, self._length = begins.shape
        positions = torch.arange(self._length, device=self._device).repeat(self._num)
        self._rotated = RowRotation(rope, positions)
        self._plain: Tensor | None = None  # numbers of windows without a border; None: all
        self._parted: Tensor | None = None
        self._same: Tensor | None = None
        self._masks: dict[tuple[int | None, bool], Tensor] = {}
        if across or not bool(begins[:, 1:].any()):
            return
        parted = begins[:, 1:].any(1)
        self._plain, self._parted = (~parted).nonzero()[:, 0], parted.nonzero()[:, 0]
        document = begins[self._parted].int().cumsum(1)
        self._same = document[:, None, :, None] == document[:, None, None, :]

    def __call__(
        self,
        layer: int,
        query: Float[Tensor, "N H D"],
        key: Float[Tensor, "N K D"],
        value: Float[Tensor, "N K D"],
    ) -> Float[Tensor, "N H D"]:
        """Attention output of every row."""
        window = self._windows[layer]
        heads = batched_heads(*self._rotated(query, key), value, self._num)
        if self._plain is None or self._parted is None:
            out = self._attend(heads, None, window)
        else:
            parted = self._attend([x[self._parted] for x in heads], self._same, window)
            out = parted
            if len(self._plain):
                plain = self._attend([x[self._plain] for x in heads], None, window)
                order = torch.cat([self._plain, self._parted]).argsort()
                out = torch.cat([plain, parted])[order]
        return out.transpose(1, 2).flatten(0, 1)

    def _attend(self, heads: list[Tensor], same: Tensor | None, window: int | None) -> Tensor:
        query, key, value = heads
        near = None if window is None or window >= self._length else window
        if same is None and near is None:
            return F.scaled_dot_product_attention(query, key, value, is_causal=True)
        mask = self._mask(near, same)
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)

    def _mask(self, near: int | None, same: Tensor | None) -> Tensor:
        place = (near, same is not None)
        if place not in self._masks:
            at = torch.arange(self._length, device=self._device)
            distance = at[:, None] - at[None, :]
            mask = distance >= 0 if near is None else (distance >= 0) & (distance < near)
            self._masks[place] = mask if same is None else mask & same
        return self._masks[place]
