"""Mixture of experts: a router chooses a few feed-forwards for each row.

Parameter names are those of transformers' Mixtral and Qwen-MoE.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from burnish.kernels import ops
from burnish.models.config import ExpertsConfig
from burnish.models.grouped import collect, group, grouped_product, spread
from burnish.models.mlp import MLP
from burnish.models.products import Make, Product, product

INIT_STD = 0.02
ROUTED_ROWS = 512  # at once in bf16: bounds what products of rows and experts take


@dataclass(frozen=True, kw_only=True)
class Routed:
    """What the router did with the rows of a pass, for losses and counts; with its graph."""

    logits: Float[Tensor, "N E"]
    chosen: Int[Tensor, "N k"]
    num_dropped: int


class Scores(nn.Module):
    """A linear map without bias that is never replaced, packed or quantised."""

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(_drawn(num_out, num_in))

    def forward(self, rows: Float[Tensor, "N d"]) -> Float[Tensor, "N e"]:
        """The rows' images."""
        return product(rows, self.weight, None)


class Router(Scores):
    """Scores rows for experts, and chooses the best `top_k` of each.

    `bias`, if set, is added to the probabilities where the choice is made, never to the weights,
    and in training only: neither Mixtral nor Qwen-MoE folders can hold it, so what is evaluated
    is what is saved.
    Source: arXiv 2401.04088, section 2.1; the bias: arXiv 2408.15664, eq. 3.
    Departure: that paper keeps the bias in inference.
    Oracle: tests/models/test_moe.py::test_logits_equal_transformers, ::test_bias_changes_choices
    """

    trained_buffers = ("bias",)  # belong into a checkpoint of training, not into a folder
    bias: Tensor | None

    def __init__(self, d_model: int, config: ExpertsConfig) -> None:
        super().__init__(d_model, config.num_experts)
        self.top_k, self.normalised = config.top_k, config.normalised
        self.register_buffer("bias", None, persistent=False)

    def forward(self, rows: Float[Tensor, "N d"]) -> Float[Tensor, "N e"]:
        """Logits in fp32, also under autocast: bf16 knows few numbers between 8 and 8.06.

        In bf16 inference each row is summed by itself, so that it does not depend on the others.
        """
        exact = torch.promote_types(rows.dtype, torch.float32)
        weight = self.weight.to(exact)
        with torch.autocast(rows.device.type, enabled=False):
            if rows.dtype == exact or torch.is_grad_enabled():
                return F.linear(rows.to(exact), weight)
            parts = rows.split(ROUTED_ROWS)
            return torch.cat([(one.to(exact)[:, None] * weight).sum(-1) for one in parts])

    def choose(
        self, logits: Float[Tensor, "N E"]
    ) -> tuple[Float[Tensor, "N k"], Int[Tensor, "N k"]]:
        """Weights and numbers of each row's experts, best first; probabilities are fp32."""
        exact = logits.to(torch.promote_types(logits.dtype, torch.float32))
        probabilities = exact.softmax(-1)
        scores = probabilities.detach()
        if self.bias is not None and self.training:
            scores = scores + self.bias
        chosen = scores.topk(self.top_k, dim=-1).indices
        if self.normalised:  # of the chosen logits alone: never 0 / 0, whatever a bias chose
            return exact.gather(-1, chosen).softmax(-1), chosen
        return probabilities.gather(-1, chosen), chosen


class Experts(nn.Module):
    """All experts of a layer, gated feed-forwards; `fused` multiplies where no gradient is wanted.

    Source: SwiGLU, arXiv 2002.05202, eq. 6.
    Oracle: tests/models/test_moe.py::test_dropless_equals_a_loop_over_rows
    """

    def __init__(self, d_model: int, config: ExpertsConfig) -> None:
        super().__init__()
        num, width = config.num_experts, config.d_expert
        self.gate_up_proj = nn.Parameter(_drawn(num, 2 * width, d_model))
        self.down_proj = nn.Parameter(_drawn(num, d_model, width))
        self.num_experts, self.normalised = num, config.normalised
        self.fused: list[tuple[Product, Product]] | None = None
        self.num_dropped = 0

    def forward(
        self,
        rows: Float[Tensor, "N d"],
        weights: Float[Tensor, "N k"],
        chosen: Int[Tensor, "N k"],
        capacity: int | None = None,
    ) -> Float[Tensor, "N d"]:
        """The weighted sum of what each row's experts make of it."""
        groups = group(chosen, self.num_experts, capacity=capacity)
        self.num_dropped = groups.num_dropped
        parts = spread(rows, groups)
        if self.fused is not None and not (torch.is_grad_enabled() and rows.requires_grad):
            parts = self._fused(self.fused, parts, groups.counts.tolist())
        else:
            gate, up = grouped_product(parts, self.gate_up_proj, groups.counts).chunk(2, dim=-1)
            parts = grouped_product(F.silu(gate) * up, self.down_proj, groups.counts)
        return self._mixed(collect(parts, groups), weights, groups.num_dropped > 0)

    def _mixed(
        self, parts: Float[Tensor, "N k d"], weights: Float[Tensor, "N k"], dropped: bool
    ) -> Float[Tensor, "N d"]:
        """The weighted sum. Where weights sum to 1, equal parts give that part to the last bit."""
        if not self.normalised or dropped:
            return (parts * weights[..., None]).sum(1).to(parts.dtype)
        exact = parts.to(weights.dtype)
        first, others = exact[:, 0], exact[:, 1:]
        steps = (others - first[:, None]) * weights[:, 1:, None]
        return (first + steps.sum(1)).to(parts.dtype)

    def _fused(
        self, fused: list[tuple[Product, Product]], rows: Tensor, counts: list[int]
    ) -> Tensor:
        out = torch.empty_like(rows)
        pairs = zip(fused, rows.split(counts), out.split(counts), counts, strict=True)
        for (joined, down), own, target, num in pairs:
            if num:
                target.copy_(down(_gated(joined(own))))
        return out


class MoE(nn.Module):
    """Router, experts and, where the family has one, a shared expert behind a sigmoid gate.

    Dropless, unless `capacity_factor` is set: in training each expert then takes at most so many
    times its even share of a pass, the first rows first, and drops the rest. Generation never
    drops: a row's result may not depend on the rows beside it.
    Source: arXiv 2401.04088, section 2.1; capacity: arXiv 2101.03961, eq. 3.
    Oracle: tests/models/test_moe.py::test_logits_equal_transformers
    """

    def __init__(self, d_model: int, config: ExpertsConfig, shared: MLP | None) -> None:
        super().__init__()
        self.gate = Router(d_model, config)
        self.experts = Experts(d_model, config)
        self.shared_expert = shared
        self.shared_expert_gate = None if shared is None else Scores(d_model, 1)
        self.config = config
        self.capacity_factor: float | None = None
        self.records: list[Routed] | None = None  # filled by passes that are learned from

    def forward(self, rows: Float[Tensor, "N d"]) -> Float[Tensor, "N d"]:
        """What the experts make of each row; not yet added to the stream."""
        logits = self.gate(rows)
        weights, chosen = self.gate.choose(logits)
        out = self.experts(rows, weights, chosen, self._capacity(len(rows)))
        if self.records is not None and self.training and torch.is_grad_enabled():
            dropped = self._own_experts().num_dropped
            self.records.append(Routed(logits=logits, chosen=chosen, num_dropped=dropped))
        if self.shared_expert is None or self.shared_expert_gate is None:
            return out
        return out + self.shared_expert_gate(rows).sigmoid() * self.shared_expert(rows)

    def fuse(self, make: Make) -> None:
        """Make the experts' products ready for inference."""
        experts = self._own_experts()
        joined, down = experts.gate_up_proj.detach(), experts.down_proj.detach()
        experts.fused = [
            (make(one, None), make(other, None)) for one, other in zip(joined, down, strict=True)
        ]
        if self.shared_expert is not None:
            self.shared_expert.fuse(make)

    def unfuse(self) -> None:
        """Forget what `fuse` made."""
        self._own_experts().fused = None
        if self.shared_expert is not None:
            self.shared_expert.unfuse()

    def _own_experts(self) -> Experts:
        """The experts without the adapters that peft may have wrapped around them."""
        return next(m for m in self.experts.modules() if isinstance(m, Experts))

    def _capacity(self, num_rows: int) -> int | None:
        if self.capacity_factor is None or not self.training:
            return None
        even = num_rows * self.config.top_k / self.config.num_experts
        return math.ceil(self.capacity_factor * even)


def _gated(both: Tensor) -> Tensor:
    if ops.usable(both):
        return ops.silu_mul(both)
    gate, up = both.chunk(2, dim=-1)
    return F.silu(gate) * up


def _drawn(*shape: int) -> Tensor:
    """Random weights, except on the meta device, where there is nothing to fill."""
    empty = torch.empty(*shape)
    return empty if empty.is_meta else empty.normal_(std=INIT_STD)
