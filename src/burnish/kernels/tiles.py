"""Weights laid out in the order in which a product reads them: products.c says how."""

import ctypes
import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from burnish.kernels.build import build
from burnish.kernels.quantised import BLOCK, BLOCK_BYTES, Blocks

TILE = 32  # outputs
WIDE = {2: torch.int16, 4: torch.int32}
# of each output in a group of 32 inputs: how many parts lie apart, and the bytes of each
PARTS = {16: ((16, 4),), 8: ((16, 2), (1, 2)), 4: ((4, 4), (1, 2), (1, 2))}


@dataclass(frozen=True, kw_only=True)
class Tiles:
    """A weight matrix `[e d]` of 16 (bf16), 8 or 4 bits a number, in tiles of 32 outputs."""

    data: UInt8[Tensor, "tiles groups group_bytes"]
    bits: int
    size: int
    num_outputs: int

    def of(self, outputs: Int[Tensor, " M"]) -> "Tiles":
        """Some outputs only."""
        parts, begin = [], 0
        for num, width in PARTS[self.bits]:
            part = self.data[..., begin : begin + num * TILE * width]
            part = part.unflatten(-1, (num, TILE, width))
            parts.append(part[outputs // TILE, :, :, outputs % TILE])
            begin += num * TILE * width
        return Tiles(
            data=_lay(parts), bits=self.bits, size=self.size, num_outputs=len(outputs)
        )  # fmt: skip


@functools.cache
def usable(bits: int) -> bool:
    """Whether this processor multiplies pairs of bf16, and nothing better is there."""
    library = build().library
    return library is not None and bool(library.burnish_tiles(bits))


def tile_whole(weight: Float[Tensor, "e d"]) -> Tiles:
    """A bf16 weight in tiles; its last group is filled up with zeros."""
    num_outputs, size = weight.shape
    filled = _filled(weight.detach(), 1, BLOCK).contiguous()
    parts = [filled.view(torch.uint8).view(num_outputs, -1, 16, 4)]
    return Tiles(data=_lay(parts), bits=16, size=size, num_outputs=num_outputs)


def tile_blocks(blocks: Blocks) -> Tiles:
    """Blocks of 8 or 4 bits in tiles: the same numbers and scales in another order."""
    data = blocks.data.unflatten(1, (-1, BLOCK_BYTES[blocks.bits]))
    if blocks.bits == 8:
        parts = [data[..., 2:].unflatten(2, (16, 2)), data[..., None, :2]]
    else:
        halves = data[..., 4:]
        nibbles = torch.cat((halves & 15, halves >> 4), dim=-1)
        fours = nibbles.unflatten(2, (4, 4, 2))  # four pairs share a word for each of the two
        low, high = (fours[..., i, :] | fours[..., i + 1, :] << 4 for i in (0, 2))
        words = torch.stack((low, high), dim=-1).flatten(3)
        parts = [words, data[..., None, :2], data[..., None, 2:4]]
    return Tiles(
        data=_lay(parts), bits=blocks.bits, size=blocks.size, num_outputs=len(blocks.data)
    )  # fmt: skip


def multiply(
    rows: Float[Tensor, "N d"], tiles: Tiles, bias: Float[Tensor, " e"] | None
) -> Float[Tensor, "N e"]:
    """Rows, rounded to bf16, times the transposed weight, plus the bias; fp32 sums.

    The bits of a row do not depend on the other rows. On a CPU, without gradients; bias is fp32.
    Source: ours. Oracle: tests/kernels/test_tiles.py::test_product_equals_definition
    """
    library = build().library
    assert library is not None, "ask `usable` first"
    rows = rows.contiguous()
    out = torch.empty((rows.shape[0], tiles.num_outputs), dtype=rows.dtype)
    call = product_call(tiles, bias)
    call.rows, call.out, call.num_rows = rows.data_ptr(), out.data_ptr(), rows.shape[0]
    call.bf16, call.threads = int(rows.dtype == torch.bfloat16), torch.get_num_threads()
    if library.burnish_product(ctypes.byref(call)):
        raise MemoryError("no memory for the rows of a product")
    return out


def product_call(tiles: Tiles, bias: Float[Tensor, " e"] | None) -> "ProductCall":
    """The kernel's argument but for rows and result. Keep both alive as long as it."""
    return ProductCall(
        weight=tiles.data.data_ptr(),
        bias=None if bias is None else bias.data_ptr(),
        size=tiles.size,
        num_outputs=tiles.num_outputs,
        bits=tiles.bits,
    )


def _lay(parts: Sequence[Tensor]) -> Tensor:
    """Interleave the bytes of 32 outputs; parts are `[e groups num width]`, of bytes."""
    laid = []
    for part in parts:
        whole = part.contiguous().view(WIDE[part.shape[-1]]).squeeze(-1)  # moved as one number
        filled = _filled(whole, 0, TILE)
        moved = filled.unflatten(0, (-1, TILE)).permute(0, 2, 3, 1).contiguous()
        laid.append(moved.flatten(2).view(torch.uint8))
    return torch.cat(laid, dim=-1) if len(laid) > 1 else laid[0]


def _filled(tensor: Tensor, dim: int, multiple: int) -> Tensor:
    """With zeros behind it, up to a multiple; without a copy where it is one already."""
    missing = -tensor.shape[dim] % multiple
    return F.pad(tensor, (0, 0) * (tensor.dim() - 1 - dim) + (0, missing)) if missing else tensor


class ProductCall(ctypes.Structure):
    """The struct `product` of calls.h."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("rows", "weight", "bias", "out")),
        *((name, ctypes.c_int64) for name in ("num_rows", "size", "num_outputs")),
        *((name, ctypes.c_int32) for name in ("bits", "bf16", "threads")),
    )
