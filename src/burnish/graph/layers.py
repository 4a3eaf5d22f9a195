"""Sparse graph layers on blocks: a block says which rows of the input a few output rows see.

The whole graph is a block whose outputs are all nodes; a batch has one block a layer. So full
training, exact neighbourhoods and sampled ones run through the same code.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy import sparse
from torch import Tensor, nn


class SparseMatrix:
    """A constant sparse matrix in front of dense rows; its gradient is the transpose's product.

    Source: ours. Oracle: tests/graph/test_layers.py::test_gradients_of_layers
    """

    def __init__(self, matrix: sparse.csr_array) -> None:
        self._forward, self._backward = _as_csr(matrix), _as_csr(sparse.csr_array(matrix.T))
        self.is_empty = matrix.nnz == 0
        self.num_rows = len(matrix.indptr) - 1

    def __matmul__(self, rows: Tensor) -> Tensor:
        if self.is_empty:
            return rows.new_zeros(self.num_rows, rows.shape[1])
        return _Product.apply(rows, self._forward, self._backward)


class _Product(torch.autograd.Function):
    """Product of a sparse matrix and dense rows, with its gradient."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, forward: Tensor, backward: Tensor) -> Tensor:
        ctx.backward_matrix = backward
        return forward.to(rows.dtype) @ rows

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return ctx.backward_matrix.to(grads[0].dtype) @ grads[0].contiguous(), None, None


@dataclass(frozen=True, kw_only=True)
class Block:
    """`mean` averages neighbours, `normal` is GCN's matrix; both map input to output rows.

    `own[i]` is the input row of output row i itself.
    """

    mean: SparseMatrix
    normal: SparseMatrix
    own: Tensor


class SageLayer(nn.Module):
    """`W_n mean(neighbours) + b + W_s own`.

    Source: Hamilton et al. 2017 (GraphSAGE), arXiv 1706.02216, the mean form.
    Oracle: tests/graph/test_layers.py::test_layers_equal_dense_formulas
    """

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__()
        self.neighbours = nn.Linear(num_in, num_out)
        self.own = nn.Linear(num_in, num_out, bias=False)

    def forward(self, rows: Float[Tensor, "M d"], block: Block) -> Float[Tensor, "N e"]:
        """Output rows of the block."""
        return self.neighbours(block.mean @ rows) + self.own(rows[block.own])


class GcnLayer(nn.Module):
    """`S X W + b`, S normalised with self-loops.

    Source: Kipf & Welling 2017, arXiv 1609.02907.
    Oracle: tests/graph/test_layers.py::test_layers_equal_dense_formulas
    """

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__()
        self.weight = nn.Linear(num_in, num_out, bias=False)
        self.bias = nn.Parameter(torch.zeros(num_out))

    def forward(self, rows: Float[Tensor, "M d"], block: Block) -> Float[Tensor, "N e"]:
        """Output rows of the block."""
        return block.normal @ self.weight(rows) + self.bias


class SgcLayer(nn.Module):
    """`S X`, without a weight: propagation alone, before a linear map at the end.

    Source: Wu et al. 2019 (SGC), arXiv 1902.07153.
    Oracle: tests/graph/test_layers.py::test_layers_equal_dense_formulas
    """

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__()

    def forward(self, rows: Float[Tensor, "M d"], block: Block) -> Float[Tensor, "N d"]:
        """Output rows of the block."""
        return block.normal @ rows


class OwnLayer(nn.Module):
    """`W own + b`: no neighbour counts, the control without a graph."""

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__()
        self.own = nn.Linear(num_in, num_out)

    def forward(self, rows: Float[Tensor, "M d"], block: Block) -> Float[Tensor, "N e"]:
        """Output rows of the block."""
        return self.own(rows[block.own])


LAYERS: dict[str, type[nn.Module]] = {
    "sage": SageLayer, "gcn": GcnLayer, "sgc": SgcLayer, "mlp": OwnLayer,
}  # fmt: skip


def _as_csr(matrix: sparse.csr_array) -> Tensor:
    with warnings.catch_warnings():  # torch calls the format a beta
        warnings.simplefilter("ignore", UserWarning)
        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr.astype(np.int64)),
            torch.from_numpy(matrix.indices.astype(np.int64)),
            torch.from_numpy(matrix.data.astype(np.float32)),
            size=matrix.shape,
        )
