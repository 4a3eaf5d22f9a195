"""Rotary positions, and what every attention over them shares."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor


def inverse_frequencies(config: Any) -> tuple[Float[Tensor, " pairs"], float]:
    """Angle per position of each pair of dimensions, and the factor on cosine and sine.

    Source: RoFormer, arXiv 2104.09864, eq. 15; linear, arXiv 2306.15595; other scaled kinds (yarn)
    are computed by transformers, which defines them.
    Oracle: tests/models/test_decoder.py::test_logits_equal_transformers
    """
    rope = config.rope_parameters
    kind = rope["rope_type"]
    if kind not in ("default", "linear", "llama3"):
        from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

        frequencies, factor = ROPE_INIT_FUNCTIONS[kind](config, "cpu")
        return frequencies, float(factor)
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    exponents = torch.arange(0, size, 2, dtype=torch.float) / size
    frequencies = 1.0 / (rope["rope_theta"] ** exponents)
    if kind == "linear":
        frequencies = frequencies / rope["factor"]
    return (_llama3(frequencies, rope) if kind == "llama3" else frequencies), 1.0


def _llama3(plain: Float[Tensor, " pairs"], rope: Mapping[str, Any]) -> Float[Tensor, " pairs"]:
    """Slow pairs are slowed by the factor, fast ones stay, those between are mixed.

    Source: Llama 3.1 (arXiv 2407.21783), as its published code does it.
    Oracle: tests/models/test_decoder.py::test_logits_equal_transformers
    """
    turns = rope["original_max_position_embeddings"] * plain / (2 * torch.pi)
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    kept = ((turns - low) / (high - low)).clamp(0, 1)
    return plain * (kept + (1 - kept) / rope["factor"])


Rotation = tuple[Float[Tensor, "N 1 D"], Float[Tensor, "N 1 D"]]
Windows = Sequence[int | None]  # sliding window of each layer [tokens]; None: full attention


class Rope:
    """Turns positions into rotations, and rotates rows by them."""

    def __init__(self, config: Any) -> None:
        self._frequencies, self._factor = inverse_frequencies(config)

    def at(self, positions: Int[Tensor, " N"], dtype: torch.dtype) -> Rotation:
        """Cosine and sine of each row's position; computed once per pass, used in all layers."""
        if self._frequencies.device != positions.device:
            self._frequencies = self._frequencies.to(positions.device)
        angles = positions[:, None].float() * self._frequencies
        angles = torch.cat((angles, angles), dim=-1)[:, None, :]
        return (angles.cos() * self._factor).to(dtype), (angles.sin() * self._factor).to(dtype)


def rotate(rows: Float[Tensor, "N H D"], rotation: Rotation) -> Float[Tensor, "N H D"]:
    """Rotate each head of each row to its position (halves layout, as in Hugging Face weights).

    Source: RoFormer, arXiv 2104.09864, eq. 34.
    Oracle: tests/kv/test_rope.py::test_rotation_is_relative
    """
    cos, sin = rotation
    half = rows.shape[-1] // 2
    turned = torch.cat((-rows[..., half:], rows[..., :half]), dim=-1)
    return rows * cos + turned * sin


class RowRotation:
    """Rotates queries and keys of rows at known positions; the angles are computed once a pass.

    Source: RoFormer, arXiv 2104.09864, eq. 34.
    Oracle: tests/kv/test_rope.py::test_rotation_is_relative
    """

    def __init__(self, rope: Rope, positions: Int[Tensor, " N"]) -> None:
        self._rope, self._positions = rope, positions
        self._rotation: Rotation | None = None

    def __call__(
        self, query: Float[Tensor, "N H D"], key: Float[Tensor, "N K D"]
    ) -> tuple[Float[Tensor, "N H D"], Float[Tensor, "N K D"]]:
        """Both, rotated."""
        if self._rotation is None:
            self._rotation = self._rope.at(self._positions.to(query.device), query.dtype)
        return rotate(query, self._rotation), rotate(key, self._rotation)


def batched_heads(
    query: Float[Tensor, "N H D"],
    key: Float[Tensor, "N K D"],
    value: Float[Tensor, "N K D"],
    num: int,
) -> list[Float[Tensor, "B H T D"]]:
    """Rows of `num` sequences of one length, as a batch; each query head has its own keys.

    Source: ours. Oracle: tests/kv/test_padded.py::test_equals_each_sequence_alone
    """
    group = query.shape[1] // key.shape[1]
    heads = [rows.unflatten(0, (num, -1)).transpose(1, 2) for rows in (query, key, value)]
    return [heads[0], repeat_kv(heads[1], group), repeat_kv(heads[2], group)]


def repeat_kv(heads: Float[Tensor, "B K T D"], group: int) -> Float[Tensor, "B H T D"]:
    """Give each query head its own copy of the key or value head that its group shares.

    Source: grouped-query attention, arXiv 2305.13245.
    Oracle: tests/models/test_decoder.py::test_logits_equal_transformers
    """
    return heads if group == 1 else heads.repeat_interleave(group, dim=1)
