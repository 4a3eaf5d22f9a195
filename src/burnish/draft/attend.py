"""Attention of a pass over drafts and pseudo states, on top of the dense cache."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from burnish.contracts.attention import Attend
from burnish.draft.layout import Layout
from burnish.kernels import ops
from burnish.kv.dense import DenseCache, rounded
from burnish.kv.placed import Branch, PlacedAttend
from burnish.kv.rope import Rope, Windows, rotate


def tree_attend(
    cache: DenseCache,
    layout: Layout,
    lengths: Sequence[int],
    rope: Rope,
    windows: Windows,
    *,
    starts: Int[Tensor, " B"] | None = None,
    span_tokens: int | None = None,
) -> Attend:
    """Attention for the rows of a layout behind the texts in slots 0, 1, ...

    With `starts`, the lengths as a tensor, and `span_tokens`, how many cells are looked at, no
    number of `lengths` counts.

    It may be called with the first rows of the layout only, where those see no later one.
    With the compiled kernel a node has the bits that it would have as the newest row of a plain
    text; without it that holds for chains, and branches agree to rounding.
    Source: ours. Oracle: tests/draft/test_attend.py::test_tree_equals_separate_steps
    """
    longest = max(lengths) + layout.num_cells
    assert longest <= cache.capacity_tokens, "the session reserves room for the drafts"
    if starts is None:
        starts = torch.tensor(lengths, device=cache.cells.device)
    if not ops.usable(cache.cells):
        span = span_tokens or rounded(longest)
        return MaskedAttend(cache, layout, starts, rope, windows, span)
    before = starts[layout.text_of_row]
    more = layout.seen + starts[layout.text_of_seen]
    return PlacedAttend(
        cache.cells,
        layout.text_of_row.tolist(),
        before + layout.position_of_row,
        rope,
        windows,
        at=before + layout.cell_of_row,
        branches={window: _branch(layout, before, more, window) for window in set(windows)},
    )


def _branch(layout: Layout, before: Tensor, more: Tensor, window: int | None) -> Branch:
    """What rows see behind their text, without what lies outside the window."""
    if window is None or window > int(layout.reach.max()):
        return Branch(common=before, more=more, more_at=layout.seen_at)
    near = layout.reach < window
    kept = torch.cat((near.new_zeros(1), near)).cumsum(0)
    begins = before + layout.position_of_row + 1 - window  # may lie behind the text's end
    common = torch.maximum(before, begins)
    return Branch(common=common, more=more[near], more_at=kept[layout.seen_at])


class MaskedAttend:
    """The plain path: each row a batch entry over its slot's cells, with a mask.

    Source: ours. Oracle: tests/draft/test_attend.py::test_tree_equals_separate_steps
    """

    def __init__(
        self,
        cache: DenseCache,
        layout: Layout,
        starts: Tensor,
        rope: Rope,
        windows: Windows,
        span_tokens: int,
    ) -> None:
        self._cells, self._windows, self._layout = cache.cells, windows, layout
        device, self._single = starts.device, len(starts) == 1
        self._longest = span_tokens
        before = starts[layout.text_of_row]
        self._positions = before + layout.position_of_row
        self._at = before + layout.cell_of_row
        self._rotation = rope.at(self._positions, cache.cells.dtype)
        seen = torch.arange(self._longest, device=device) < before[:, None]
        owners = layout.row_of_seen
        seen[owners, before[owners] + layout.seen] = True
        where = torch.arange(self._longest, device=device).repeat(len(starts), 1)
        where[layout.text_of_row, self._at] = self._positions
        distance = self._positions[:, None] - where[layout.text_of_row]
        self._masks = {}
        for window in set(windows):
            near = seen if window is None else seen & (distance < window)
            mask = torch.zeros(near.shape, dtype=cache.cells.dtype, device=device)
            self._masks[window] = mask.masked_fill_(~near, float("-inf"))[:, None, None]

    def __call__(
        self,
        layer: int,
        query: Float[Tensor, "N H D"],
        key: Float[Tensor, "N K D"],
        value: Float[Tensor, "N K D"],
    ) -> Float[Tensor, "N H D"]:
        """Attention output of every row; writes keys and values into the cache."""
        num = len(query)
        cosine, sine = self._rotation
        rotation = (cosine[:num], sine[:num])
        query, key = rotate(query, rotation), rotate(key, rotation)
        keys, values = self._cells[layer]
        texts, at = self._layout.text_of_row[:num], self._at[:num]
        keys[texts, :, at], values[texts, :, at] = key, value
        seen = (cells[:, :, : self._longest] for cells in (keys, values))
        many = (
            cells[:1].expand(num, -1, -1, -1) if self._single else cells[texts] for cells in seen
        )
        out = F.scaled_dot_product_attention(
            query.unflatten(1, (keys.shape[1], -1)),
            *many,
            attn_mask=self._masks[self._windows[layer]][:num],
        )
        return out.flatten(1, 2)
