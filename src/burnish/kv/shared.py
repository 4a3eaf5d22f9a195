"""Attention of several continuations over prompts that they share: scoring."""

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from burnish.kv.rope import Rope, Rotation, Windows, repeat_kv, rotate

Branches = tuple[int, Sequence[int]]  # length of a prompt, lengths of what continues it [tokens]


class SharedAttend:
    """Causal attention where each completion sees its prompt and itself, never a sibling.

    Rows are the first prompt's, then those of each of its completions, then the next prompt's. A
    completion may have no rows at all. Each sequence has a kernel call of its own, so its numbers
    do not depend on how many others stand beside it.

    Source: ours. Oracle: tests/kv/test_shared.py::test_shared_equals_separate
    """

    def __init__(self, groups: Sequence[Branches], rope: Rope, windows: Windows) -> None:
        self._rope, self._windows = rope, windows
        self._rotation: Rotation | None = None
        self._spans: list[tuple[slice, slice]] = []  # rows of the prompt, rows of their own
        positions: list[Tensor] = []
        begin = 0
        for length, branches in groups:
            prompt = slice(begin, begin + length)
            self._spans.append((slice(begin, begin), prompt))
            ends = itertools.accumulate(branches, initial=prompt.stop)
            own = [slice(start, end) for start, end in itertools.pairwise(ends)]
            self._spans += [(prompt, rows) for rows in own if rows.start < rows.stop]
            positions.append(torch.arange(length))
            positions += [torch.arange(length, length + num_rows) for num_rows in branches]
            begin = own[-1].stop if own else prompt.stop
        self.positions = torch.cat(positions)

    def to(self, device: torch.device) -> "SharedAttend":
        """Move the index tensors."""
        self.positions = self.positions.to(device)
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
        window = self._windows[layer]
        return torch.cat(
            [
                _attend_last(
                    query[own],
                    torch.cat((key[prompt], key[own])),
                    torch.cat((value[prompt], value[own])),
                    window,
                )
                for prompt, own in self._spans
            ]
        )


def _attend_last(
    query: Float[Tensor, "N H D"],
    key: Float[Tensor, "T K D"],
    value: Float[Tensor, "T K D"],
    window: int | None,
) -> Float[Tensor, "N H D"]:
    """Causal attention of the last N of T positions."""
    if window is None and len(query) == len(key):
        return attend_rows(query, key, value, None)
    at = torch.arange(len(key), device=query.device)
    return attend_rows(query, key, value, causal_mask(at[len(key) - len(query) :], at, window))


def attend_rows(
    query: Float[Tensor, "N H D"],
    key: Float[Tensor, "T K D"],
    value: Float[Tensor, "T K D"],
    mask: Bool[Tensor, "N T"] | None,
) -> Float[Tensor, "N H D"]:
    """Attention of rows over keys that `mask` lets them see; None: causal, N = T."""
    group = query.shape[1] // key.shape[1]
    out = F.scaled_dot_product_attention(
        query.transpose(0, 1)[None],
        repeat_kv(key.transpose(0, 1)[None], group),
        repeat_kv(value.transpose(0, 1)[None], group),
        attn_mask=mask,
        is_causal=mask is None,
    )
    return out[0].transpose(0, 1)


def causal_mask(
    at: Int[Tensor, " N"], keys: Int[Tensor, " T"], window: int | None
) -> Bool[Tensor, "N T"]:
    """Which positions `keys` a row at each position `at` sees."""
    distance = at[:, None] - keys
    seen = distance >= 0
    return seen if window is None else seen & (distance < window)
