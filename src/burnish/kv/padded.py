"""Attention to the left and the right over sequences that are padded to one length."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from burnish.kv.rope import Rope, Rotation, repeat_kv, rotate


class PaddedAttend:
    """Rows are sequences of `T` rows, one after another; a row sees all of its own but padding.

    `seen` marks rows that are no padding; what rows of padding give is to be left alone.
    Source: ours. Oracle: tests/kv/test_padded.py::test_equals_each_sequence_alone
    """

    def __init__(self, rope: Rope, seen: Bool[Tensor, "B T"]) -> None:
        self._rope, self._num = rope, len(seen)
        self._mask = seen[:, None, None, :]
        self._positions = torch.arange(seen.shape[1], device=seen.device).repeat(len(seen))
        self._rotation: Rotation | None = None

    def __call__(
        self,
        layer: int,
        query: Float[Tensor, "N H D"],
        key: Float[Tensor, "N K D"],
        value: Float[Tensor, "N K D"],
    ) -> Float[Tensor, "N H D"]:
        """Attention output of every row."""
        if self._rotation is None:
            self._rotation = self._rope.at(self._positions, query.dtype)
        query, key = rotate(query, self._rotation), rotate(key, self._rotation)
        group = query.shape[1] // key.shape[1]
        heads = [x.unflatten(0, (self._num, -1)).transpose(1, 2) for x in (query, key, value)]
        keys, values = repeat_kv(heads[1], group), repeat_kv(heads[2], group)
        out = F.scaled_dot_product_attention(heads[0], keys, values, attn_mask=self._mask)
        return out.transpose(1, 2).flatten(0, 1)
