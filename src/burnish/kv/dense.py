"""A preallocated cache of keys and values, one slot a sequence, and attention over it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from burnish.kernels import ops
from burnish.kernels.ops import Sight
from burnish.kv.placed import PlacedAttend
from burnish.kv.rope import Rope, Windows, repeat_kv, rotate

BLOCK_TOKENS = 16  # a kernel's vector width: lengths are rounded up to it, see `rounded`


def rounded(length_tokens: int) -> int:
    """Next multiple of the block.

    Attention over a rounded length with the tail masked gives the same bits whatever the tail
    (CPU, bf16), so a sequence alone and in a longer batch agree exactly.
    Source: ours, measured. Oracle: tests/kv/test_dense.py::test_bf16_is_batch_invariant
    """
    return -(-length_tokens // BLOCK_TOKENS) * BLOCK_TOKENS


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Keys and values of one sequence, copied out of its slot."""

    cells: Float[Tensor, "L 2 K T D"]


class DenseCache:
    """Keys (rotated) and values of `num_slots` sequences of up to `capacity_tokens` each."""

    def __init__(
        self,
        *,
        num_layers: int,
        num_kv_heads: int,
        head_dim: int,
        num_slots: int,
        capacity_tokens: int,
        dtype: torch.dtype,
        device: torch.device | str = "cpu",
    ) -> None:
        self.capacity_tokens = rounded(capacity_tokens)
        shape = (num_layers, 2, num_slots, num_kv_heads, self.capacity_tokens, head_dim)
        self.cells = torch.zeros(shape, dtype=dtype, device=device)
        self.lengths = [0] * num_slots

    @property
    def num_bytes(self) -> int:
        """Memory held, used or not."""
        return self.cells.numel() * self.cells.element_size()

    def write(self, layer: int, slot: int, start: int, key: Tensor, value: Tensor) -> None:
        """Store rows `[N K D]` of one sequence at positions from `start`."""
        end = start + len(key)
        assert end <= self.capacity_tokens, "the engine reserves the capacity before it writes"
        self.cells[layer, 0, slot, :, start:end] = key.transpose(0, 1)
        self.cells[layer, 1, slot, :, start:end] = value.transpose(0, 1)

    def snapshot(self, slot: int) -> Snapshot:
        """A copy of one sequence."""
        return Snapshot(cells=self.cells[:, :, slot, :, : self.lengths[slot]].clone())

    def restore(self, slot: int, snapshot: Snapshot) -> None:
        """Put a copied sequence into a slot."""
        length = snapshot.cells.shape[3]
        self.cells[:, :, slot, :, :length] = snapshot.cells
        self.lengths[slot] = length

    def move(self, source: int, target: int) -> None:
        """Copy one slot over another."""
        length = self.lengths[source]
        self.cells[:, :, target, :, :length] = self.cells[:, :, source, :, :length]
        self.lengths[target] = length

    def reorder(self, sources: Int[Tensor, " B"]) -> None:
        """Slot i becomes a copy of slot `sources[i]`, for all slots at once.

        Source: ours. Oracle: tests/kv/test_dense.py::test_reorder_equals_snapshots
        """
        longest = rounded(max(self.lengths))
        self.cells[..., :longest, :] = self.cells[..., :longest, :].index_select(2, sources)
        self.lengths = [self.lengths[source] for source in sources.tolist()]

    def rollback(self, slot: int, length_tokens: int) -> None:
        """Forget everything behind the first `length_tokens` of a sequence."""
        assert 0 <= length_tokens <= self.lengths[slot]
        self.lengths[slot] = length_tokens


class ExtendAttend:
    """Several new rows of several sequences: prefill, whole or in chunks.

    `slots[i]` receives `counts[i]` rows. The cache's lengths are advanced by the caller after the
    pass, since every layer writes at the same positions.
    Source: ours. Oracle: tests/engine/test_session.py::test_chunked_equals_whole
    """

    def __init__(
        self,
        cache: DenseCache,
        slots: Sequence[int],
        counts: Sequence[int],
        rope: Rope,
        windows: Windows,
    ) -> None:
        self._cache, self._slots, self._counts, self._windows = cache, slots, counts, windows
        device = cache.cells.device
        self._starts = [cache.lengths[slot] for slot in slots]
        spans = zip(self._starts, counts, strict=True)
        self.positions = torch.cat([torch.arange(s, s + n, device=device) for s, n in spans])
        owners = [slot for slot, n in zip(slots, counts, strict=True) for _ in range(n)]
        self._placed = _placed(cache, owners, self.positions, rope, windows)
        self._rotation = rope.at(self.positions, cache.cells.dtype)

    def __call__(
        self,
        layer: int,
        query: Float[Tensor, "N H D"],
        key: Float[Tensor, "N K D"],
        value: Float[Tensor, "N K D"],
    ) -> Float[Tensor, "N H D"]:
        """Attention output of every row; writes keys and values into the cache."""
        if self._placed is not None and ops.usable(query):
            return self._placed(layer, query, key, value)
        query, key = rotate(query, self._rotation), rotate(key, self._rotation)
        out = torch.empty_like(query)
        begin = 0
        for slot, start, count in zip(self._slots, self._starts, self._counts, strict=True):
            rows = slice(begin, begin + count)
            self._cache.write(layer, slot, start, key[rows], value[rows])
            out[rows] = self._sequence(layer, slot, start, query[rows])
            begin += count
        return out

    @property
    def sight(self) -> Sight | None:
        """What the rows see, where the compiled attention is used."""
        return None if self._placed is None else self._placed.sight

    def _sequence(self, layer: int, slot: int, start: int, query: Tensor) -> Tensor:
        count, heads, _ = query.shape
        end = rounded(start + count)
        keys, values = self._cache.cells[layer, :, slot : slot + 1, :, :end]
        group = heads // keys.shape[1]
        at = torch.arange(start, start + count, device=query.device)
        distance = at[:, None] - torch.arange(end, device=query.device)[None, :]
        mask = distance >= 0
        window = self._windows[layer]
        if window is not None:
            mask &= distance < window
        out = F.scaled_dot_product_attention(
            query.transpose(0, 1)[None],
            repeat_kv(keys, group),
            repeat_kv(values, group),
            attn_mask=mask,
        )
        return out[0].transpose(0, 1)


class StepAttend:
    """One new row for each of the slots 0..B-1: a decode step.

    Query heads of a group stand as rows of their key head, so nothing is copied. With `lengths` and
    `span_tokens`, how many cells are looked at, nothing is read from the cache's own lengths.
    Source: ours. Oracle: tests/engine/test_session.py::test_step_equals_whole
    """

    def __init__(
        self,
        cache: DenseCache,
        num_rows: int,
        rope: Rope,
        windows: Windows,
        *,
        lengths: Int[Tensor, " B"] | None = None,
        span_tokens: int | None = None,
    ) -> None:
        self._cache, self._windows, self._num = cache, windows, num_rows
        cells = cache.cells
        if lengths is None:
            lengths = torch.tensor(cache.lengths[:num_rows], device=cells.device)
        self._placed = _placed(cache, range(num_rows), lengths, rope, windows)
        if self._placed is not None:
            return
        self._longest = span_tokens or rounded(max(cache.lengths[:num_rows]) + 1)
        self._rotation = rope.at(lengths, cells.dtype)
        heads = torch.arange(num_rows * cells.shape[3], device=cells.device)
        per_slot = lengths.repeat_interleave(cells.shape[3])
        self._rows = heads * cells.shape[4] + per_slot  # of the cache seen as [slots*K*T, D]
        distance = lengths[:, None] - torch.arange(self._longest, device=cells.device)
        self._masks = {window: self._mask(distance, window, cells.dtype) for window in set(windows)}

    def __call__(
        self,
        layer: int,
        query: Float[Tensor, "B H D"],
        key: Float[Tensor, "B K D"],
        value: Float[Tensor, "B K D"],
    ) -> Float[Tensor, "B H D"]:
        """Attention output of every row; writes keys and values into the cache."""
        if self._placed is not None:
            return self._placed(layer, query, key, value)
        query, key = rotate(query, self._rotation), rotate(key, self._rotation)
        keys, values = self._cache.cells[layer]
        keys.view(-1, keys.shape[-1]).index_copy_(0, self._rows, key.flatten(0, 1))
        values.view(-1, values.shape[-1]).index_copy_(0, self._rows, value.flatten(0, 1))
        out = F.scaled_dot_product_attention(
            query.unflatten(1, (keys.shape[1], -1)),
            keys[: self._num, :, : self._longest],
            values[: self._num, :, : self._longest],
            attn_mask=self._masks[self._windows[layer]],
        )
        return out.flatten(1, 2)

    @property
    def sight(self) -> Sight | None:
        """What the rows see, where the compiled attention is used."""
        return None if self._placed is None else self._placed.sight

    @staticmethod
    def _mask(distance: Tensor, window: int | None, dtype: torch.dtype) -> Tensor:
        seen = distance >= 0 if window is None else (distance >= 0) & (distance < window)
        mask = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
        return mask.masked_fill_(~seen, float("-inf"))[:, None, None, :]


def _placed(
    cache: DenseCache, slots: Sequence[int], positions: Tensor, rope: Rope, windows: Windows
) -> PlacedAttend | None:
    """The compiled attention, where it can be had for this cache."""
    if not ops.usable(cache.cells):
        return None
    return PlacedAttend(cache.cells, slots, positions, rope, windows)
