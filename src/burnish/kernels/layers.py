"""All layers of a decoder in one call: what a pass costs beside its arithmetic is paid once."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from burnish.kernels.build import build
from burnish.kernels.ops import WIDTHS, AttentionCall, Sight, attention_call
from burnish.kernels.tiles import ProductCall, Tiles, product_call

Weight = tuple[Tiles, Tensor | None]  # and its bias, fp32


@runtime_checkable
class Sighted(Protocol):
    """An `Attend` that can say beforehand what its rows see: the kernel then looks for itself."""

    @property
    def sight(self) -> Sight | None:
        """Where rows look and are written; None where the compiled kernels cannot."""
        ...


@dataclass(frozen=True, kw_only=True)
class LayerWeights:
    """One layer; `joined` gives query, key and value, `gates` gate and up. Norms share a type."""

    norm: Float[Tensor, " d"]
    query_norm: Float[Tensor, " D"] | None
    key_norm: Float[Tensor, " D"] | None
    mlp_norm: Float[Tensor, " d"]
    joined: Weight
    out: Weight
    gates: Weight
    down: Weight


class Layers:
    """A decoder's layers, ready for the kernel.

    Source: ours. Oracle: tests/kernels/test_layers.py::test_one_call_equals_kernel_by_kernel
    """

    def __init__(self, weights: Sequence[LayerWeights], eps: float) -> None:
        self._weights, self._eps = list(weights), eps  # kept: the kernel has their addresses
        self._calls = (_Layer * len(weights))(*map(_layer, weights))
        self.norm = weights[0].norm

    def run(
        self, rows: Float[Tensor, "N d"], sight: Sight, first: int, last: int
    ) -> Float[Tensor, "N d"]:
        """The stream behind layers `first` up to, not including, `last`; writes into the cells."""
        if first == last:
            return rows
        out = rows.clone(memory_format=torch.contiguous_format)
        head_dim, num_kv_heads = sight.cells.shape[-1], sight.cells.shape[3]
        num_heads = self._weights[0].joined[0].num_outputs // head_dim - 2 * num_kv_heads
        numbers: dict[int, int] = {}
        attends: list[AttentionCall] = []
        for layer in range(first, last):
            places = sight.places[layer]
            if id(places) not in numbers:
                numbers[id(places)] = len(attends)
                attends.append(
                    attention_call(num_heads, sight.rotation, sight.cells[layer], places)
                )
        which = [numbers[id(sight.places[layer])] for layer in range(first, last)]
        arrays = (AttentionCall * len(attends))(*attends), (ctypes.c_int32 * len(which))(*which)
        width = sight.cells.element_size()
        library = build().library
        assert library is not None, "ask `ops.usable` first"
        call = _Layers(
            rows=out.data_ptr(),
            layers=ctypes.addressof(self._calls[first]),
            attends=ctypes.addressof(arrays[0]),
            which=ctypes.addressof(arrays[1]),
            cells=sight.cells[first].data_ptr(),
            cells_bytes=sight.cells.stride(0) * width,
            values_bytes=sight.cells.stride(1) * width,
            num_layers=last - first,
            num_rows=out.shape[0],
            size=out.shape[1],
            num_gates=self._weights[0].down[0].size,
            eps=self._eps,
            bf16=WIDTHS[out.dtype],
            threads=torch.get_num_threads(),
        )
        if library.burnish_layers(ctypes.byref(call)):
            raise MemoryError("no memory for the rows of a pass")
        return out


class _Layer(ctypes.Structure):
    """The struct `layer` of layers.c."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("norm", "query_norm", "key_norm", "mlp_norm")),
        *((name, ProductCall) for name in ("joined", "out", "gates", "down")),
    )


class _Layers(ctypes.Structure):
    """The struct `layers` of layers.c."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("rows", "layers", "attends", "which", "cells")),
        *((name, ctypes.c_int64) for name in ("cells_bytes", "values_bytes", "num_layers")),
        *((name, ctypes.c_int64) for name in ("num_rows", "size", "num_gates")),
        ("eps", ctypes.c_float),
        ("bf16", ctypes.c_int32),
        ("threads", ctypes.c_int32),
    )


def _layer(weights: LayerWeights) -> _Layer:
    norms = ("norm", "query_norm", "key_norm", "mlp_norm")
    at = {name: getattr(weights, name) for name in norms}
    return _Layer(
        **{name: None if norm is None else norm.data_ptr() for name, norm in at.items()},
        joined=product_call(*weights.joined),
        out=product_call(*weights.out),
        gates=product_call(*weights.gates),
        down=product_call(*weights.down),
    )
