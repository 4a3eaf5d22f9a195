"""Matrix products for inference: how a weight is laid out, behind one call."""

import functools
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from burnish.kernels import tiles
from burnish.kernels.quantised import Blocks, multiply

SINGLE_ROWS = 4  # what a packed single row is computed as: the fastest count, measured
BLOCK_ROWS = 32  # rows of one call on processors with AMX, see `in_blocks`


@runtime_checkable
class Product(Protocol):
    """A weight, ready to be multiplied; without gradients."""

    def __call__(self, rows: Float[Tensor, "N d"]) -> Float[Tensor, "N e"]:
        """The rows' images, plus the bias."""
        ...


Make = Callable[[Tensor, Tensor | None], Product]  # of a weight and a bias


@functools.cache
def has_amx() -> bool:
    """Whether oneDNN multiplies bf16 with AMX here: its order of sums depends on the rows."""
    return torch.cpu._is_amx_tile_supported()


def in_blocks(multiply: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """`multiply` on `BLOCK_ROWS` rows at a time, the last block padded.

    With AMX oneDNN orders the sums of a row by the number of rows of the call, so every call gets
    the same number. Measured on Sapphire Rapids: 512 rows at once are faster than in blocks, a
    block costs little more than a row.
    Source: ours. Oracle: tests/models/test_decoder.py::test_bf16_rows_are_invariant
    """
    num, missing = len(rows), -len(rows) % BLOCK_ROWS
    if missing:
        rows = torch.cat([rows, rows.new_zeros(missing, rows.shape[1])])
    return torch.cat([multiply(block) for block in rows.split(BLOCK_ROWS)])[:num]


def product(rows: Float[Tensor, "N d"], weight: Tensor, bias: Tensor | None) -> Tensor:
    """A matrix product whose rows do not depend on how many there are, in bf16 on a CPU.

    The kernel gives the same bits for a row among any number of rows from two on; a single row
    takes another path, so it is computed twice (and that is not slower: weights are read once).
    With AMX rows are multiplied in blocks of one size, but where a gradient is wanted.
    Source: ours, measured. Oracle: tests/models/test_decoder.py::test_bf16_rows_are_invariant
    """
    if rows.dtype != torch.bfloat16 or rows.device.type != "cpu":
        return F.linear(rows, weight, bias)
    if has_amx() and len(rows) and not torch.is_grad_enabled():
        return in_blocks(lambda block: F.linear(block, weight, bias), rows)
    if len(rows) == 1:
        return F.linear(rows.expand(2, -1), weight, bias)[:1]
    return F.linear(rows, weight, bias)


class Plain:
    """The weight as it is."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self._weight, self._bias = weight, bias

    def __call__(self, rows: Float[Tensor, "N d"]) -> Float[Tensor, "N e"]:
        """The rows' images, plus the bias."""
        return product(rows, self._weight, self._bias)


class Packed:
    """A copy of the weight in the order in which oneDNN reads it: no reordering at each call.

    It costs the weight's memory a second time, and has the bits of `product` in bf16.
    Source: ours, measured (SmolLM2-135M, one row: 16 ms instead of 25).
    Oracle: tests/models/test_products.py::test_packed_equals_plain
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), 16)
        self._bias = None if bias is None else bias.detach()

    def __call__(self, rows: Float[Tensor, "N d"]) -> Float[Tensor, "N e"]:
        """The rows' images, plus the bias."""
        if len(rows) and rows.dtype == torch.bfloat16 and has_amx():
            return in_blocks(self._of, rows)
        if len(rows) == 1 and rows.dtype == torch.bfloat16:
            return self._of(rows.expand(SINGLE_ROWS, -1).contiguous())[:1]
        return self._of(rows)

    def _of(self, rows: Tensor) -> Tensor:
        apply = torch.ops.mkldnn._linear_pointwise
        return apply(rows, self._weight, self._bias, "none", [], "")


class Tiled:
    """A weight in tiles: read once for up to twelve rows. Beside a whole weight it is a copy.

    Departure: with 8 and 4 bits, rows are rounded to bf16 first; `Quantised` takes them as fp32.
    Source: ours, measured (SmolLM2-135M, all layers, bf16, one row: 8 ms instead of Packed's 14).
    Oracle: tests/kernels/test_tiles.py::test_product_equals_definition
    """

    def __init__(self, weight: tiles.Tiles, bias: Tensor | None) -> None:
        self.weight = weight
        self.bias = None if bias is None else bias.detach().float()

    def __call__(self, rows: Float[Tensor, "N d"]) -> Float[Tensor, "N e"]:
        """The rows' images, plus the bias."""
        return tiles.multiply(rows, self.weight, self.bias)

    def of(self, outputs: Int[Tensor, " M"]) -> "Tiled":
        """The product onto some outputs only."""
        return Tiled(self.weight.of(outputs), None if self.bias is None else self.bias[outputs])


class Quantised:
    """A weight in blocks of 32 with 4 or 8 bits a number.

    Source: ours. Oracle: tests/kernels/test_quantised.py::test_product_equals_definition
    """

    def __init__(self, blocks: Blocks, bias: Tensor | None) -> None:
        self._blocks, self._bias = blocks, bias

    def __call__(self, rows: Float[Tensor, "N d"]) -> Float[Tensor, "N e"]:
        """The rows' images, plus the bias."""
        return multiply(rows, self._blocks, self._bias)

    def of(self, outputs: Int[Tensor, " M"]) -> "Quantised":
        """The product onto some outputs only."""
        blocks = Blocks(data=self._blocks.data[outputs].contiguous(), bits=self._blocks.bits)
        return Quantised(blocks, None if self._bias is None else self._bias[outputs])


def can_pack(weight: Tensor) -> bool:
    """Whether oneDNN keeps weights of this kind packed."""
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if weight.dtype == torch.bfloat16:
        return torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return weight.dtype == torch.float32


def make_product(weight: Tensor, bias: Tensor | None) -> Product:
    """The fastest layout of a weight that keeps its numbers."""
    if weight.device.type == "cpu" and weight.dtype == torch.bfloat16 and tiles.usable(16):
        return Tiled(tiles.tile_whole(weight), bias)
    return (Packed if can_pack(weight) else Plain)(weight, bias)


def quantised_product(blocks: Blocks, bias: Tensor | None) -> Tiled | Quantised:
    """The fastest layout of a quantised weight; its numbers stay."""
    if tiles.usable(blocks.bits):
        return Tiled(tiles.tile_blocks(blocks), bias)
    return Quantised(blocks, bias)
