"""Rows with different weights: sort by weight, multiply each group, restore the order."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

ALIGNED_BYTES = 16  # of a row, for torch's grouped product


@dataclass(frozen=True, kw_only=True)
class Groups:
    """Which rows go to which weight. An assignment is a row and one of its k weights.

    `rows[i]` is the row of the i-th kept assignment, sorted by weight, in the order of rows
    within a weight; `kept[i]` is its place in the flat list of all assignments, `slots` the way
    back: a place among the kept ones, or their number for an assignment that was dropped.
    """

    rows: Int[Tensor, " A"]
    kept: Int[Tensor, " A"]
    slots: Int[Tensor, "N k"]
    counts: Int[Tensor, " E"]

    @property
    def num_dropped(self) -> int:
        """Assignments beyond the capacity of their weight."""
        return self.slots.numel() - len(self.rows)


def group(chosen: Int[Tensor, "N k"], num_weights: int, *, capacity: int | None = None) -> Groups:
    """Sort assignments by weight; at most `capacity` for each, the first rows first.

    Source: ours; capacity: arXiv 2101.03961, section 2.2.
    Oracle: tests/models/test_grouped.py::test_groups_by_hand
    """
    flat = chosen.flatten()
    order = flat.argsort(stable=True)
    counts = flat.bincount(minlength=num_weights)
    slots = torch.empty_like(order)
    slots[order] = torch.arange(len(order), device=order.device)
    if capacity is not None:
        place = slots - (counts.cumsum(0) - counts)[flat]
        fits = place < capacity
        order = order[fits[order]]
        counts = counts.clamp(max=capacity)
        starts = counts.cumsum(0) - counts
        slots = torch.where(fits, starts[flat] + place, len(order))
    rows = order // chosen.shape[1]
    return Groups(rows=rows, kept=order, slots=slots.view_as(chosen), counts=counts)


def spread(rows: Float[Tensor, "N d"], groups: Groups) -> Float[Tensor, "A d"]:
    """A copy of its row for each kept assignment. The gradient is a gather, in a fixed order.

    Source: ours. Oracle: tests/models/test_grouped.py::test_gradients
    """
    return _Spread.apply(rows, groups.rows, groups.slots)


def collect(parts: Float[Tensor, "A d"], groups: Groups) -> Float[Tensor, "N k d"]:
    """The results of each row's assignments; zeros for dropped ones.

    Source: ours. Oracle: tests/models/test_grouped.py::test_gradients
    """
    return _Collect.apply(parts, groups.slots, groups.kept)


def grouped_product(
    rows: Float[Tensor, "A d"], weight: Float[Tensor, "E e d"], counts: Int[Tensor, " E"]
) -> Float[Tensor, "A e"]:
    """The images of sorted rows, each under its own weight; a weight may have no row.

    On a GPU torch's grouped kernel, where rows are aligned; else one product a weight, into one
    result. Under autocast, products are in its type.
    Source: ours. Oracle: tests/models/test_grouped.py::test_product_equals_single_products
    """
    device = rows.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        rows, weight = rows.to(dtype), weight.to(dtype)
    if device == "cuda" and _aligned(rows, weight):
        return kernel_product(rows, weight, counts)
    return _Product.apply(rows, weight, counts.tolist())


def kernel_product(
    rows: Float[Tensor, "A d"], weight: Float[Tensor, "E e d"], counts: Int[Tensor, " E"]
) -> Float[Tensor, "A e"]:
    """As `grouped_product`, by torch's own grouped kernel.

    Source: torch. Oracle: tests/models/test_grouped.py::test_product_equals_single_products
    """
    return F.grouped_mm(rows, weight.mT, offs=counts.cumsum(0, dtype=torch.int32))


def _aligned(rows: Tensor, weight: Tensor) -> bool:
    sizes = (rows.shape[1], weight.shape[1])
    in_bf16 = rows.dtype == weight.dtype == torch.bfloat16
    return in_bf16 and all(size * rows.element_size() % ALIGNED_BYTES == 0 for size in sizes)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, counts: list[int]) -> Tensor:
        ctx.save_for_backward(rows, weight)
        ctx.counts = counts
        out = rows.new_empty(len(rows), weight.shape[1])
        for own, matrix, target in _each(counts, rows, weight, out):
            torch.mm(own, matrix.T, out=target)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight = ctx.saved_tensors
        wants_rows, wants_weight, _ = ctx.needs_input_grad
        by_rows = torch.empty_like(rows) if wants_rows else None
        by_weight = torch.zeros_like(weight) if wants_weight else None
        if by_rows is not None:
            for slope, matrix, target in _each(ctx.counts, upstream, weight, by_rows):
                torch.mm(slope, matrix, out=target)
        if by_weight is not None:
            for slope, target, own in _each(ctx.counts, upstream, by_weight, rows):
                torch.mm(slope.T, own, out=target)
        return by_rows, by_weight, None


def _each(counts: list[int], first: Tensor, weight: Tensor, second: Tensor) -> Any:
    """The rows of both tensors that belong to a weight, and it; weights without rows are left."""
    parts = zip(first.split(counts), weight, second.split(counts), counts, strict=True)
    return [(one, matrix, other) for one, matrix, other, num in parts if num]


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, places: Tensor, slots: Tensor) -> Tensor:
        ctx.save_for_backward(slots)
        return rows[places]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        (slots,) = ctx.saved_tensors
        return _gather(upstream, slots).sum(1), None, None


class _Collect(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, parts: Tensor, slots: Tensor, kept: Tensor) -> Tensor:
        ctx.save_for_backward(kept)
        return _gather(parts, slots)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        (kept,) = ctx.saved_tensors
        return upstream.flatten(0, 1)[kept], None, None


def _gather(parts: Tensor, slots: Tensor) -> Tensor:
    if len(parts) < slots.numel():  # some were dropped: they find a row of zeros
        parts = F.pad(parts, (0, 0, 0, 1))
    return parts[slots]
