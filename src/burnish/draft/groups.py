"""Attention of anchor groups over known texts: how maps are trained and measured.

The real rows are computed once and leave their keys and values; pseudo states of many anchors
then run in one pass, each group seeing its text up to its anchor and itself.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from burnish.kv.rope import Rope, RowRotation, Windows
from burnish.kv.shared import attend_rows, causal_mask


class TextAttend:
    """Causal attention of whole texts, packed; keeps rotated keys and values of every layer.

    Source: ours. Oracle: tests/draft/test_groups.py::test_groups_equal_decoding
    """

    def __init__(self, lengths: Sequence[int], rope: Rope, windows: Windows) -> None:
        self.lengths, self._windows = list(lengths), windows
        self._rotated = RowRotation(rope, torch.cat([torch.arange(n) for n in lengths]))
        self.kept: dict[int, list[tuple[Tensor, Tensor]]] = {}

    def __call__(
        self,
        layer: int,
        query: Float[Tensor, "N H D"],
        key: Float[Tensor, "N K D"],
        value: Float[Tensor, "N K D"],
    ) -> Float[Tensor, "N H D"]:
        """Attention output of every row."""
        query, key = self._rotated(query, key)
        parts = zip(*(rows.split(self.lengths) for rows in (query, key, value)), strict=True)
        out, kept = [], []
        for rows, keys, values in parts:
            at = torch.arange(len(rows), device=rows.device)
            mask = causal_mask(at, at, self._windows[layer])
            out.append(attend_rows(rows, keys, values, mask))
            kept.append((keys, values))
        self.kept[layer] = kept
        return torch.cat(out)


class GroupAttend:
    """Attention of pseudo states; rows are offset 1 of all anchors, then offset 2 ...

    `anchors[b]` are positions in text b.
    Source: FIRP, arXiv 2410.20488 (reconstruction).
    Oracle: tests/draft/test_groups.py::test_groups_equal_decoding
    """

    def __init__(
        self,
        real: TextAttend,
        anchors: Sequence[Tensor],
        num_active: int,
        rope: Rope,
        windows: Windows,
        *,
        cross: bool,
    ) -> None:
        self._real, self._windows = real, windows
        counts = [len(at) for at in anchors]
        total, begin = sum(counts), 0
        offsets = torch.arange(num_active)
        self._rows, self._own, self._at = [], [], []
        positions = torch.zeros(num_active * total, dtype=torch.long)
        for at, count in zip(anchors, counts, strict=True):
            rows = (offsets[:, None] * total + begin + torch.arange(count)).flatten()
            group = torch.arange(count).repeat(num_active)
            offset = offsets.repeat_interleave(count)
            before = offset[:, None] >= offset if cross else offset[:, None] == offset
            self._rows.append(rows)
            self._own.append((group[:, None] == group) & before)
            self._at.append((at.repeat(num_active), offset + 1))
            positions[rows] = at.repeat(num_active) + offset + 1
            begin += count
        self._rotated = RowRotation(rope, positions)

    def __call__(
        self,
        layer: int,
        query: Float[Tensor, "N H D"],
        key: Float[Tensor, "N K D"],
        value: Float[Tensor, "N K D"],
    ) -> Float[Tensor, "N H D"]:
        """Attention output of every row."""
        query, key = self._rotated(query, key)
        out, window = [], self._windows[layer]
        for text, (keys, values) in enumerate(self._real.kept[layer]):
            rows, (anchor, offset) = self._rows[text].to(query.device), self._at[text]
            real = torch.arange(len(keys))
            before = real <= anchor[:, None]
            if window is not None:
                before &= anchor[:, None] + offset[:, None] - real < window
            mask = torch.cat((before, self._own[text]), dim=1).to(query.device)
            both = torch.cat((keys, key[rows])), torch.cat((values, value[rows]))
            out.append(attend_rows(query[rows], *both, mask))
        order = torch.cat(self._rows).argsort().to(query.device)
        return torch.cat(out)[order]
