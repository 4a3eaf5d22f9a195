"""Attention of rows over one sequence, for heads that share keys and values."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


def attend_grouped(
    query: Float[Tensor, "N H D"],
    keys: Float[Tensor, "K T D"],
    values: Float[Tensor, "K T D"],
    mask: Float[Tensor, "R T"],
) -> Float[Tensor, "N H D"]:
    """Attention of every row; `mask` is `group_mask`'s. Keys and values are not copied.

    Query heads of a group stand as rows of their key head, one head after another.
    Source: grouped-query attention, arXiv 2305.13245.
    Oracle: tests/kv/test_policies.py::test_full_equals_transformers
    """
    num_rows = len(query)
    rows = query.unflatten(1, (len(keys), -1)).permute(1, 2, 0, 3).flatten(1, 2)
    out = F.scaled_dot_product_attention(rows[None], keys[None], values[None], attn_mask=mask)
    return out[0].unflatten(1, (-1, num_rows)).permute(2, 0, 1, 3).flatten(1, 2)


def group_mask(
    seen: Bool[Tensor, "N T"], num_heads: int, dtype: torch.dtype
) -> Float[Tensor, "R T"]:
    """What is added to the scores: 0 where a row sees a key, else minus infinity.

    `num_heads` query heads share a key head; their rows stand one head after another.
    """
    mask = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
    return mask.masked_fill_(~seen, float("-inf")).repeat(num_heads, 1)


def attend_behind(
    query: Float[Tensor, "N H D"],
    keys: Float[Tensor, "K T D"],
    values: Float[Tensor, "K T D"],
) -> Float[Tensor, "N H D"]:
    """Causal attention of the last N of T positions, without a mask; on a CPU only.

    What precedes the rows is seen by all of them, so it needs no mask; the rows' own block is
    causal. Both halves' sums of exponentials say how much each counts.
    Source: ours; the merge is that of flash attention, arXiv 2205.14135, section 3.1.
    Oracle: tests/kv/test_policies.py::test_full_equals_transformers
    """
    flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    num_rows, start = len(query), keys.shape[1] - len(query)
    heads, group = query.transpose(0, 1), query.shape[1] // len(keys)
    own_keys, own_values = (x[:, start:].repeat_interleave(group, dim=0) for x in (keys, values))
    own, own_sum = flash(heads[None], own_keys[None], own_values[None], is_causal=True)
    if start == 0:
        return own[0].transpose(0, 1)
    rows = heads.reshape(len(keys), group * num_rows, -1)
    before, before_sum = flash(rows[None], keys[None, :, :start], values[None, :, :start])
    before = before.reshape(own.shape)
    share = (before_sum.reshape(own_sum.shape) - own_sum).sigmoid()[..., None].to(own.dtype)
    return (own + share * (before - own))[0].transpose(0, 1)


def grouped_scores(
    query: Float[Tensor, "N H D"], keys: Float[Tensor, "K T D"]
) -> Float[Tensor, "K G N T"]:
    """Scaled products of every row's heads with the keys that their group shares.

    Source: grouped-query attention, arXiv 2305.13245.
    Oracle: tests/kv/test_policies.py::test_window_equals_eviction_token_by_token
    """
    grouped = query.unflatten(1, (len(keys), -1)).permute(1, 2, 0, 3) * query.shape[-1] ** -0.5
    return (grouped.flatten(1, 2) @ keys.mT).unflatten(1, grouped.shape[1:3])
