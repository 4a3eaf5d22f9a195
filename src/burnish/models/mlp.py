"""The gated feed-forward of a layer."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from burnish.kernels import ops
from burnish.models.config import DecoderConfig
from burnish.models.parts import Linear, join_linears, wants_grad
from burnish.models.products import Make, Product


class MLP(nn.Module):
    """Gated feed-forward, SwiGLU.

    Source: arXiv 2002.05202, eq. 6.
    Oracle: tests/models/test_decoder.py::test_logits_equal_transformers
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.gate_proj = Linear(config.d_model, config.d_ff, bias=config.mlp_bias)
        self.up_proj = Linear(config.d_model, config.d_ff, bias=config.mlp_bias)
        self.down_proj = Linear(config.d_ff, config.d_model, bias=config.mlp_bias)
        self.fused: Product | None = None

    def forward(self, rows: Float[Tensor, "N d"]) -> Float[Tensor, "N d"]:
        """Feed-forward output of each row, before it is added to the stream."""
        if self.fused is None or wants_grad(rows):
            return self.down_proj(F.silu(self.gate_proj(rows)) * self.up_proj(rows))
        both = self.fused(rows)
        if ops.usable(both):
            return self.down_proj(ops.silu_mul(both))
        gate, up = both.chunk(2, dim=-1)
        return self.down_proj(F.silu(gate) * up)

    def fuse(self, make: Make) -> None:
        """Make gate and up one product, and both products ready for inference."""
        self.fused = make(*join_linears(self.gate_proj, self.up_proj))
        self.down_proj.fast = make(self.down_proj.weight, self.down_proj.bias)

    def unfuse(self) -> None:
        """Forget what `fuse` made."""
        self.fused = self.down_proj.fast = None
