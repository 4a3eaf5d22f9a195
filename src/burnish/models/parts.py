"""The smallest parts of a decoder: linear maps, embeddings and norms over rows."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from burnish.kernels import ops
from burnish.models.products import Product, Quantised, Tiled, make_product, product


class Linear(nn.Linear):
    """A linear layer over rows; `fast`, if set, multiplies where no gradient is wanted."""

    fast: Product | None = None

    def reset_parameters(self) -> None:
        """Draw random weights, except on the meta device, where there is nothing to fill."""
        if not self.weight.is_meta:  # torch would import its compiler for it, which takes a second
            super().reset_parameters()

    def forward(self, rows: Float[Tensor, "N d"]) -> Float[Tensor, "N e"]:
        """The rows' images under the weight, plus the bias."""
        if self.fast is not None and not wants_grad(rows):
            return self.fast(rows)
        return product(rows, self.weight, self.bias)

    def narrowed(self, outputs: Int[Tensor, " M"]) -> Product:
        """The product onto some outputs only, for inference."""
        if isinstance(self.fast, Quantised | Tiled):
            return self.fast.of(outputs)
        bias = None if self.bias is None else self.bias[outputs]
        return make_product(self.weight[outputs], bias)


class Table(nn.Embedding):
    """The rows of an embedding."""

    def reset_parameters(self) -> None:
        """Draw random rows, except on the meta device."""
        if not self.weight.is_meta:
            super().reset_parameters()


class RMSNorm(nn.Module):
    """Scale rows to unit root mean square.

    Source: arXiv 1910.07467, eq. 4.
    Oracle: tests/models/test_decoder.py::test_logits_equal_transformers
    """

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, rows: Float[Tensor, "*N d"]) -> Float[Tensor, "*N d"]:
        """Rows of unit root mean square, times the weight."""
        if ops.usable(rows, self.weight):
            return ops.rms_norm(rows, self.weight, self.eps)
        # under autocast rows may be bf16 and the weight fp32; else the cast does nothing
        return F.rms_norm(rows, rows.shape[-1:], self.weight.to(rows.dtype), self.eps)


def wants_grad(rows: Float[Tensor, "*N d"]) -> bool:
    """Whether a gradient is needed: packed products have none."""
    return torch.is_grad_enabled() and rows.requires_grad


def join_linears(*linears: nn.Linear) -> tuple[Tensor, Tensor | None]:
    """Move the weights of `linears` into one tensor and leave views in their place."""
    weight = _joined([linear.weight for linear in linears])
    biases = [linear.bias for linear in linears if linear.bias is not None]
    return weight, _joined(biases) if biases else None


def _joined(parameters: Sequence[Tensor]) -> Tensor:
    whole = torch.cat([parameter.data for parameter in parameters])
    for parameter, view in zip(parameters, whole.split([len(p) for p in parameters]), strict=True):
        parameter.data = view
    return whole
