"""The kernels over tensors. Ask `usable` first; where it says no, the caller has a plain path."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from burnish.kernels.build import build

WIDTHS = {torch.bfloat16: 1, torch.float32: 0}


def usable(*tensors: Tensor) -> bool:
    """Whether the kernels take these: on a CPU, all bf16 or all fp32, no gradient wanted."""
    first = tensors[0].dtype
    needs_grad = torch.is_grad_enabled()
    return (
        first in WIDTHS
        and all(t.dtype is first and t.device.type == "cpu" for t in tensors)
        and not (needs_grad and any(t.requires_grad for t in tensors))
        and build().library is not None
    )


def rms_norm(
    rows: Float[Tensor, "*N d"], weight: Float[Tensor, " d"], eps: float
) -> Float[Tensor, "*N d"]:
    """Rows of unit root mean square, times the weight; fp32 inside, rounded once.

    Source: arXiv 1910.07467, eq. 4. Oracle: tests/kernels/test_ops.py::test_norm_equals_definition
    """
    size = rows.shape[-1]
    flat = rows.reshape(-1, size)
    out = torch.empty(rows.shape, dtype=rows.dtype)
    _library().burnish_rms_norm(
        flat.data_ptr(),
        weight.data_ptr(),
        out.data_ptr(),
        flat.shape[0],
        size,
        flat.stride(0) * flat.element_size(),
        eps,
        WIDTHS[rows.dtype],
        torch.get_num_threads(),
    )
    return out


def add_rms_norm(
    rows: Float[Tensor, "N d"], more: Float[Tensor, "N d"], weight: Float[Tensor, " d"], eps: float
) -> tuple[Float[Tensor, "N d"], Float[Tensor, "N d"]]:
    """`rows + more` (rounded to their type), and the norm of that sum; all contiguous.

    Source: ours. Oracle: tests/kernels/test_ops.py::test_sum_and_norm_equal_two_steps
    """
    total, out = torch.empty_like(rows), torch.empty_like(rows)
    _library().burnish_add_rms_norm(
        rows.data_ptr(),
        more.data_ptr(),
        weight.data_ptr(),
        total.data_ptr(),
        out.data_ptr(),
        *rows.shape,
        eps,
        WIDTHS[rows.dtype],
        torch.get_num_threads(),
    )
    return total, out


def largest(rows: Float[Tensor, "N V"]) -> Int[Tensor, " N"]:
    """Index of the largest number of each row, the first of equals; rows are contiguous.

    Source: ours. Oracle: tests/kernels/test_ops.py::test_largest_equals_numpy
    """
    out = torch.empty(rows.shape[0], dtype=torch.int64)
    threads = torch.get_num_threads()
    _library().burnish_largest(
        rows.data_ptr(), out.data_ptr(), *rows.shape, WIDTHS[rows.dtype], threads
    )
    return out


def silu_mul(both: Float[Tensor, "N two_f"]) -> Float[Tensor, "N f"]:
    """`silu(gate) * up` of rows that hold gate and up, concatenated; fp32 inside, rounded once.

    Source: SwiGLU, arXiv 2002.05202, eq. 6.
    Oracle: tests/kernels/test_ops.py::test_gate_equals_definition
    """
    size = both.shape[-1] // 2
    out = torch.empty((both.shape[0], size), dtype=both.dtype)
    threads = torch.get_num_threads()
    _library().burnish_silu_mul(
        both.data_ptr(), out.data_ptr(), both.shape[0], size, WIDTHS[both.dtype], threads
    )
    return out


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where rows of a pass are written, and which cells of their sequence each one sees.

    Row i of sequence `slots[i]` is written to cell `cells[i]`, and sees the cells from `begins[i]`
    up to, not including, `ends[i]`, then those listed in `more[more_at[i]:more_at[i + 1]]`.
    Numbers are added in that order: the bits do not depend on which cells they are.
    """

    slots: Int[Tensor, " N"]
    cells: Int[Tensor, " N"]
    begins: Int[Tensor, " N"]
    ends: Int[Tensor, " N"]
    more: Int[Tensor, " M"] | None = None
    more_at: Int[Tensor, " N_1"] | None = None


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What the rows of a pass see in every layer, and how they are turned.

    `rotation` is fp32, cosine and sine; `places[l]` are those of layer l, often one object for all.
    """

    cells: Float[Tensor, "L 2 S K T D"]
    rotation: tuple[Float[Tensor, "R D"], Float[Tensor, "R D"]]
    places: Sequence[Places]


def attend(
    rows: tuple[Tensor, Tensor, Tensor],
    rotation: tuple[Float[Tensor, "R D"], Float[Tensor, "R D"]],
    cells: Float[Tensor, "2 S K T D"],
    places: Places,
) -> Float[Tensor, "N H D"]:
    """Rotate, write keys and values into the cells of a layer, and attend; scale 1/sqrt(D).

    `rows` are query, key and value, `[N heads D]` each, heads contiguous; `rotation` is fp32.
    Rotation and places may be those of more rows: the first N count.
    All rows are written before any looks back.
    Source: ours. Oracle: tests/kernels/test_ops.py::test_attention_equals_definition
    """
    query, key, value = rows
    out = torch.empty(query.shape, dtype=query.dtype)
    call = attention_call(query.shape[1], rotation, cells, places)
    call.num_rows = query.shape[0]
    call.query_stride, call.key_stride = query.stride(0), key.stride(0)
    call.value_stride = value.stride(0)
    call.query, call.key, call.value = query.data_ptr(), key.data_ptr(), value.data_ptr()
    call.keys = cells.data_ptr()
    call.values = cells.data_ptr() + cells.stride(0) * cells.element_size()
    call.out = out.data_ptr()
    if _library().burnish_attend(ctypes.byref(call)):
        raise MemoryError("no memory for the scores of attention")
    return out


def attention_call(
    num_heads: int,
    rotation: tuple[Float[Tensor, "R D"], Float[Tensor, "R D"]],
    cells: Float[Tensor, "2 S K T D"],
    places: Places,
) -> "AttentionCall":
    """The kernel's argument but for rows, cells and result."""
    size = cells.shape[-1]
    return AttentionCall(
        num_heads=num_heads,
        num_kv_heads=cells.shape[2],
        head_dim=size,
        slot_stride=cells.stride(1),
        head_stride=cells.stride(2),
        cosine=rotation[0].data_ptr(),
        sine=rotation[1].data_ptr(),
        slots=places.slots.data_ptr(),
        cells=places.cells.data_ptr(),
        begins=places.begins.data_ptr(),
        ends=places.ends.data_ptr(),
        more=None if places.more is None else places.more.data_ptr(),
        more_at=None if places.more_at is None else places.more_at.data_ptr(),
        scale=size**-0.5,
        bf16=WIDTHS[cells.dtype],
        threads=torch.get_num_threads(),
    )


class AttentionCall(ctypes.Structure):
    """The struct `attention` of calls.h."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("num_rows", "num_heads", "num_kv_heads")),
        *((name, ctypes.c_int64) for name in ("head_dim", "query_stride", "key_stride")),
        *((name, ctypes.c_int64) for name in ("value_stride", "slot_stride", "head_stride")),
        *((name, ctypes.c_void_p) for name in ("query", "key", "value", "cosine", "sine")),
        *((name, ctypes.c_void_p) for name in ("keys", "values", "slots", "cells", "begins")),
        *((name, ctypes.c_void_p) for name in ("ends", "more", "more_at", "out")),
        ("scale", ctypes.c_float),
        ("bf16", ctypes.c_int32),
        ("threads", ctypes.c_int32),
    )


def _library() -> ctypes.CDLL:
    library = build().library
    assert library is not None, "ask `usable` first"
    return library
