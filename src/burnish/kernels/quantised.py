"""Weights in blocks of 32 with a scale each, as GGUF stores them, and products with them."""

import ctypes
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from burnish.kernels.build import build

BLOCK = 32  # numbers that share a scale
BLOCK_BYTES = {8: 34, 4: 20}  # Q8_0: scale, values; Q4_1: scale, least, pairs


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """A weight matrix `[e d]` of 8 (Q8_0) or 4 (Q4_1) bits a number, its bytes as in GGUF.

    Q8_0: w = scale * value. Q4_1: w = scale * nibble + least. Scales are fp16.
    """

    data: UInt8[Tensor, "e row_bytes"]
    bits: int

    @property
    def size(self) -> int:
        """Numbers in a row."""
        return self.data.shape[1] // BLOCK_BYTES[self.bits] * BLOCK

    @property
    def num_bytes(self) -> int:
        """Memory of the weight."""
        return self.data.numel()


def quantise(weight: Float[Tensor, "e d"], bits: int) -> Blocks:
    """Round each block to the nearest of its grid: symmetric in 8 bits, least to most in 4.

    Source: llama.cpp's Q8_0 and Q4_1.
    Oracle: tests/kernels/test_quantised.py::test_blocks_equal_gguf
    """
    groups = weight.detach().float().unflatten(1, (-1, BLOCK))
    if bits == 8:
        scale = groups.abs().amax(-1, keepdim=True) / 127
        values = torch.round(groups / _or_one(scale)).to(torch.int8)
        parts = [scale.half().view(torch.uint8), values.view(torch.uint8)]
    else:
        least, most = groups.aminmax(dim=-1, keepdim=True)
        scale = (most - least) / 15
        values = torch.floor((groups - least) / _or_one(scale) + 0.5).clamp(0, 15)
        low, high = values.to(torch.uint8).split(BLOCK // 2, dim=-1)
        ends = [part.half().view(torch.uint8) for part in (scale, least)]
        parts = [*ends, low | high << 4]
    return Blocks(data=torch.cat(parts, dim=-1).flatten(1).contiguous(), bits=bits)


def dequantise(blocks: Blocks) -> Float[Tensor, "e d"]:
    """The numbers that the blocks stand for, fp32."""
    data = blocks.data.unflatten(1, (-1, BLOCK_BYTES[blocks.bits]))
    scale = data[..., :2].contiguous().view(torch.half).float()
    if blocks.bits == 8:
        return (data[..., 2:].contiguous().view(torch.int8) * scale).flatten(1)
    least = data[..., 2:4].contiguous().view(torch.half).float()
    pairs = data[..., 4:]
    values = torch.cat((pairs & 15, pairs >> 4), dim=-1)
    return (values * scale + least).flatten(1)


def multiply(
    rows: Float[Tensor, "N d"], blocks: Blocks, bias: Float[Tensor, " e"] | None
) -> Float[Tensor, "N e"]:
    """Rows times the transposed weight, plus the bias: fp32 sums, rounded once to the rows' type.

    The bits of a row do not depend on the other rows. On a CPU, without gradients.
    Source: ours. Oracle: tests/kernels/test_quantised.py::test_product_equals_definition
    """
    library = build().library
    assert library is not None, "ask `ops.usable` first"
    num_outputs = blocks.data.shape[0]
    wide = rows.float().contiguous()
    offset = None if bias is None else bias.float().contiguous()
    out = torch.empty((rows.shape[0], num_outputs), dtype=rows.dtype)
    call = _Call(
        rows=wide.data_ptr(),
        weight=blocks.data.data_ptr(),
        bias=None if offset is None else offset.data_ptr(),
        out=out.data_ptr(),
        num_rows=rows.shape[0],
        size=blocks.size,
        num_outputs=num_outputs,
        bits=blocks.bits,
        bf16=int(rows.dtype == torch.bfloat16),
        threads=torch.get_num_threads(),
    )
    library.burnish_quantised(ctypes.byref(call))
    return out


def _or_one(scale: Tensor) -> Tensor:
    return torch.where(scale == 0, 1.0, scale)


class _Call(ctypes.Structure):
    """The struct `quantised` of quantised.c."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("rows", "weight", "bias", "out")),
        *((name, ctypes.c_int64) for name in ("num_rows", "size", "num_outputs")),
        *((name, ctypes.c_int32) for name in ("bits", "bf16", "threads")),
    )
