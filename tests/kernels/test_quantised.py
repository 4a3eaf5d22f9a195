"""Quantised weights against the gguf package, and products against the definition."""

from collections.abc import Callable

import gguf
import numpy as np
import pytest
import torch
from torch import Tensor

from burnish.kernels import ops
from burnish.kernels.quantised import Blocks, dequantise, multiply, quantise

TYPES = {8: gguf.GGMLQuantizationType.Q8_0, 4: gguf.GGMLQuantizationType.Q4_1}
SHAPES = [(1, 32), (7, 64), (35, 96), (40, 576)]

needs_kernels = pytest.mark.skipif(
    not ops.usable(torch.zeros(1)), reason="needs a C compiler for burnish's kernels"
)


def weight_of(shape: tuple[int, int]) -> Tensor:
    weight = torch.randn(*shape, generator=torch.Generator().manual_seed(shape[0]))
    weight[0, :32] = 0  # a block without a scale
    return weight


def check_blocks(quantise: Callable[[Tensor, int], Blocks]) -> None:
    for bits, kind in TYPES.items():
        for shape in SHAPES:
            weight = weight_of(shape)
            wanted = gguf.quants.quantize(weight.numpy(), kind)
            blocks = quantise(weight, bits)
            assert blocks.size == shape[1] and blocks.num_bytes == wanted.size
            found = gguf.quants.dequantize(blocks.data.numpy(), kind)
            np.testing.assert_array_equal(dequantise(blocks).numpy(), found)
            exact = gguf.quants.dequantize(wanted, kind)
            step = np.abs(weight.numpy()).max() / (100 if bits == 8 else 5)
            np.testing.assert_allclose(found, exact, atol=step * 0.02)


def test_blocks_equal_gguf() -> None:
    check_blocks(quantise)


def test_planted_nibbles_in_the_other_order() -> None:
    def swapped(weight: Tensor, bits: int) -> Blocks:
        blocks = quantise(weight, bits)
        if bits == 8:
            return blocks
        data = blocks.data.clone().unflatten(1, (-1, 20))
        data[..., 4:] = data[..., 4:] >> 4 | (data[..., 4:] & 15) << 4
        return Blocks(data=data.flatten(1).contiguous(), bits=4)

    with pytest.raises(AssertionError):
        check_blocks(swapped)


def check_product(multiply: Callable[..., Tensor]) -> None:
    for bits in TYPES:
        for shape in SHAPES:
            blocks = quantise(weight_of(shape), bits)
            source = torch.Generator().manual_seed(1)
            rows = torch.randn(13, shape[1], generator=source)
            bias = torch.randn(shape[0], generator=source)
            for dtype, tolerance in ((torch.float32, 2e-6), (torch.bfloat16, 1 / 200)):
                for one in (None, bias):
                    x = rows.to(dtype)
                    exact = x.double() @ dequantise(blocks).double().T
                    exact += 0 if one is None else one.double()
                    error = (multiply(x, blocks, one).double() - exact).abs().max()
                    assert error < tolerance * max(exact.abs().max(), 1), (bits, shape, dtype)


@needs_kernels
def test_product_equals_definition(num_threads: int) -> None:
    check_product(multiply)


def test_planted_product_without_least() -> None:
    def without(rows: Tensor, blocks: Blocks, bias: Tensor | None) -> Tensor:
        weight = dequantise(blocks)
        if blocks.bits == 4:
            weight = weight - weight.unflatten(1, (-1, 32)).amin(-1).repeat_interleave(32, 1)
        return rows @ weight.T.to(rows.dtype) + (0 if bias is None else bias.to(rows.dtype))

    with pytest.raises(AssertionError):
        check_product(without)


@needs_kernels
def test_rows_have_the_same_bits_alone_and_together(num_threads: int) -> None:
    for bits in TYPES:
        blocks = quantise(weight_of((40, 576)), bits)
        for dtype in (torch.float32, torch.bfloat16):
            rows = torch.randn(33, 576, generator=torch.Generator().manual_seed(2)).to(dtype)
            whole = multiply(rows, blocks, None)
            for size in (1, 2, 3, 5, 8, 13):
                parts = torch.cat([multiply(part, blocks, None) for part in rows.split(size)])
                assert torch.equal(parts, whole), (bits, dtype, size)
