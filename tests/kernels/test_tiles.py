"""Tiled weights against the definition, and the bits of a row among others."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from burnish.kernels import tiles
from burnish.kernels.quantised import dequantise, quantise
from burnish.kernels.tiles import Tiles, multiply, tile_blocks, tile_whole

SHAPES = [(1, 32), (7, 64), (35, 96), (40, 576), (97, 160)]
UNEVEN = [(1, 1), (7, 5), (31, 61), (64, 577)]  # only whole weights: blocks need whole groups

needs_pairs = pytest.mark.skipif(
    not tiles.usable(8), reason="needs a processor with products of bf16 pairs, and a C compiler"
)


def cases() -> list[tuple[Tensor, Tiles]]:
    """Numbers that a weight stands for, and the weight in tiles."""
    found = []
    for shape in SHAPES + UNEVEN:
        weight = torch.randn(*shape, generator=torch.Generator().manual_seed(shape[0])).bfloat16()
        found.append((weight.double(), tile_whole(weight)))
        for bits in (8, 4) if shape in SHAPES else ():
            blocks = quantise(weight, bits)
            found.append((dequantise(blocks).double(), tile_blocks(blocks)))
    return found


def rows_for(size: int, num: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(num, size, generator=torch.Generator().manual_seed(num)).to(dtype)


def check_product(multiply: Callable[..., Tensor]) -> None:
    for weight, tiled in cases():
        bias = torch.randn(len(weight), generator=torch.Generator().manual_seed(1))
        for dtype, tolerance in ((torch.float32, 2e-6), (torch.bfloat16, 1 / 200)):
            for one in (None, bias):
                rows = rows_for(tiled.size, 13, dtype)
                exact = rows.bfloat16().double() @ weight.T
                exact += 0 if one is None else one.double()
                error = (multiply(rows, tiled, one).double() - exact).abs().max()
                assert error < tolerance * max(exact.abs().max(), 1), (weight.shape, dtype)


@needs_pairs
def test_product_equals_definition(num_threads: int) -> None:
    check_product(multiply)


@needs_pairs
def test_planted_scales_of_the_neighbour() -> None:
    def swapped(rows: Tensor, tiled: Tiles, bias: Tensor | None) -> Tensor:
        data = tiled.data.clone()
        if tiled.bits != 16:
            data[..., -2:] = tiled.data[..., -4:-2]
        return multiply(
            rows, Tiles(data=data, bits=tiled.bits, size=tiled.size, num_outputs=tiled.num_outputs),
            bias,
        )  # fmt: skip

    with pytest.raises(AssertionError):
        check_product(swapped)


def check_rows(multiply: Callable[..., Tensor]) -> None:
    """Any number of rows gives a row the bits that it has among all."""
    for _, tiled in cases():
        for dtype in (torch.float32, torch.bfloat16):
            rows = rows_for(tiled.size, 29, dtype)
            whole = multiply(rows, tiled, None)
            for size in (1, 2, 3, 5, 6, 7, 12, 13):
                parts = torch.cat([multiply(part, tiled, None) for part in rows.split(size)])
                assert torch.equal(parts, whole), (tiled.bits, dtype, size)


@needs_pairs
def test_rows_have_the_same_bits_alone_and_together(num_threads: int) -> None:
    check_rows(multiply)


@needs_pairs
def test_planted_sums_that_depend_on_the_number_of_rows() -> None:
    def other(rows: Tensor, tiled: Tiles, bias: Tensor | None) -> Tensor:
        out = multiply(rows, tiled, bias)
        return out if len(rows) > 4 else out * (1 + 2**-6)

    with pytest.raises(AssertionError):
        check_rows(other)


@needs_pairs
def test_some_outputs_are_those_of_all() -> None:
    for weight, tiled in cases():
        outputs = torch.arange(len(weight)).flip(0)[::2]
        rows = rows_for(tiled.size, 3, torch.float32)
        some = multiply(rows, tiled.of(outputs), None)
        assert torch.equal(some, multiply(rows, tiled, None)[:, outputs])
