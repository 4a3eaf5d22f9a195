"""Attention to the left and the right over sequences that are padded to one length."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from burnish.kv.rope import Rope, RowRotation, batched_heads


class PaddedAttend:
    """Rows are sequences of `T` rows, one after another; a row sees all of its own but padding.

    `seen` marks rows that are no padding; what rows of padding give is to be left alone.
    Source: ours. Oracle: tests/kv/test_padded.py::test_equals_each_sequence_alone
    """

    def __init__(self, rope: Rope, seen: Bool[Tensor, "B T"]) -> None:
        self._num, self._mask = len(seen), seen[:, None, None, :]
        positions = torch.arange(seen.shape[1], device=seen.device).repeat(len(seen))
        self._rotated = RowRotation(rope, positions)

    def __call__(
        self,
        layer: int,
        query: Float[Tensor, "N H D"],
        key: Float[Tensor, "N K D"],
        value: Float[Tensor, "N K D"],
    ) -> Float[Tensor, "N H D"]:
        """Attention output of every row."""
        heads = batched_heads(*self._rotated(query, key), value, self._num)
        out = F.scaled_dot_product_attention(*heads, attn_mask=self._mask)
        return out.transpose(1, 2).flatten(0, 1)
