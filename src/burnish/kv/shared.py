"""Texts that begin alike in one pass: scoring, training, embedding."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from burnish.kv.grouped import attend_grouped, group_mask
from burnish.kv.rope import Rope, RowRotation, Windows, repeat_kv


@dataclass(frozen=True, kw_only=True)
class Block:
    """Rows that stand together and attend in one kernel call.

    They see every row of the block that they continue (`after`; None: they begin a text), all that
    it continues, and of their own rows the ancestors: `parents[i]` is the row before row i, -1 the
    last row of `after`. None: a chain. Only a chain can be continued.
    """

    num_rows: int
    after: int | None = None
    parents: tuple[int, ...] | None = None


def packed(lengths: Sequence[int]) -> list[Block]:
    """Texts of these lengths that share nothing."""
    return [Block(num_rows=length) for length in lengths]


class Forest:
    """Tokens of several texts as rows of one pass; what texts begin with alike is computed once.

    `chain`, `branch` and `tree` add rows; `run` computes them, with a gradient where it is wanted.
    Source: ours. Oracle: tests/kv/test_shared.py::test_forest_equals_separate
    """

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.blocks: list[Block] = []
        self._rows: list[range] = []

    def __len__(self) -> int:
        """Rows of the pass."""
        return len(self.tokens)

    def chain(self, tokens: Sequence[int], *, after: int | None = None) -> int:
        """Add tokens one after another, behind the block `after`; the new block's index."""
        return self._add(tokens, Block(num_rows=len(tokens), after=after))

    def branch(self, completion: Sequence[int], *, after: int) -> list[int]:
        """Add a completion; for each of its tokens the row that predicts it.

        The first is predicted by the last row of `after`. The last token predicts nothing here, so
        it has no row.
        """
        own: Sequence[int] = ()
        if len(completion) > 1:
            own = self.rows(self.chain(completion[:-1], after=after))
        return [self.rows(after)[-1], *own]

    def tree(self, tokens: Sequence[int], parents: Sequence[int], *, after: int | None) -> int:
        """Add a tree of tokens, as `Block` says; the new block's index."""
        return self._add(tokens, Block(num_rows=len(tokens), after=after, parents=tuple(parents)))

    def rows(self, block: int) -> range:
        """Where a block's rows are in the pass."""
        return self._rows[block]

    def run(self, decoder: Any, *, last_layer: int | None = None) -> Float[Tensor, "N d"]:
        """Last hidden state of every row, or the stream before `last_layer` of a `Decoder`."""
        device = decoder.lm_head.weight.device
        attend = SharedAttend(self.blocks, Rope(decoder.config), decoder.shape.windows).to(device)
        tokens = torch.tensor(self.tokens, device=device)
        return decoder.hidden(tokens, attend, last_layer=last_layer)

    def _add(self, tokens: Sequence[int], block: Block) -> int:
        begin = len(self.tokens)
        self.tokens += tokens
        self.blocks.append(block)
        self._rows.append(range(begin, len(self.tokens)))
        return len(self.blocks) - 1


class SharedAttend:
    """Causal attention where a block sees what it continues and itself, never a sibling.

    Rows are those of the first block, then of the next. Each block has a kernel call of its own,
    so its numbers do not depend on how many others stand beside it.

    Source: ours. Oracle: tests/kv/test_shared.py::test_shared_equals_separate
    """

    def __init__(self, blocks: Sequence[Block], rope: Rope, windows: Windows) -> None:
        self._windows = windows
        self._spans = _spans(blocks)
        self._trees = [
            None if block.parents is None else _Tree(block.parents, _length(span.before))
            for block, span in zip(blocks, self._spans, strict=True)
        ]
        self.positions = torch.cat(
            [
                torch.arange(begin := _length(span.before), begin + block.num_rows)
                if tree is None
                else tree.positions
                for block, span, tree in zip(blocks, self._spans, self._trees, strict=True)
            ]
        )
        self._rotated = RowRotation(rope, self.positions)

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
        query, key = self._rotated(query, key)
        window = self._windows[layer]
        out = []
        for span, tree in zip(self._spans, self._trees, strict=True):
            seen = (*span.before, span.own)
            keys, values = (torch.cat([x[part] for part in seen]) for x in (key, value))
            if tree is None:
                out.append(_attend_last(query[span.own], keys, values, window))
            else:
                out.append(tree.attend(query[span.own], keys, values, window))
        return torch.cat(out)


@dataclass(frozen=True, kw_only=True)
class _Span:
    """Rows of a block, and those of the blocks that it continues, oldest first."""

    before: tuple[slice, ...]
    own: slice


def _spans(blocks: Sequence[Block]) -> list[_Span]:
    spans: list[_Span] = []
    begin = 0
    for block in blocks:
        own = slice(begin, begin + block.num_rows)
        before = (slice(begin, begin),)  # a text's first rows continue nothing
        if block.after is not None:
            parent = spans[block.after]
            before = tuple(p for p in (*parent.before, parent.own) if p.stop > p.start)
        spans.append(_Span(before=before, own=own))
        begin = own.stop
    return spans


def _length(parts: Sequence[slice]) -> int:
    return sum(part.stop - part.start for part in parts)


class _Tree:
    """Attention of a tree of rows behind `start` rows that all of them see."""

    def __init__(self, parents: Sequence[int], start: int) -> None:
        self._seen = torch.zeros(len(parents), start + len(parents), dtype=torch.bool)
        self._seen[:, :start] = True
        depths: list[int] = []
        for row, parent in enumerate(parents):
            depths.append(0 if parent < 0 else depths[parent] + 1)
            if parent >= 0:
                self._seen[row, start:] = self._seen[parent, start:]
            self._seen[row, start + row] = True
        self.positions = torch.tensor(depths, dtype=torch.long) + start
        self._where = torch.cat((torch.arange(start), self.positions))
        self._masks: dict[int | None, Tensor] = {}

    def attend(self, query: Tensor, keys: Tensor, values: Tensor, window: int | None) -> Tensor:
        """Attention output of the tree's rows; query heads of a group stand as rows."""
        if window not in self._masks:
            seen = self._seen
            if window is not None:
                seen = seen & (self.positions[:, None] - self._where < window)
            group = query.shape[1] // keys.shape[1]
            self._masks[window] = group_mask(seen, group, query.dtype).to(query.device)
        turned = keys.transpose(0, 1), values.transpose(0, 1)
        return attend_grouped(query, *turned, self._masks[window])


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
