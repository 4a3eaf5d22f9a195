"""Keep the experts of a mixture in use: losses of the router, a bias, a capacity; and tell it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from burnish.base.errors import SettingError
from burnish.distrib.rank import world_size
from burnish.models.moe import MoE, Routed
from burnish.train.hooks import Hook, TrainingProgress
from burnish.train.objective import Objective
from burnish.train.routing_settings import RoutingSettings
from burnish.train.steps import Batch


def balance_loss(logits: Float[Tensor, "N E"], chosen: Int[Tensor, "N k"]) -> Float[Tensor, ""]:
    """Experts times the product of load and mean probability, summed: 1 where both are even.

    The gradient is that of the probabilities; loads are counts.
    Source: arXiv 2101.03961, eq. 4 to 6; with several experts a token, loads are parts of all
    assignments. Oracle: tests/train/test_routing.py::test_balance_loss_equals_transformers
    """
    num_experts = logits.shape[-1]
    exact = torch.promote_types(logits.dtype, torch.float32)
    load = chosen.flatten().bincount(minlength=num_experts) / chosen.numel()
    return num_experts * (load * logits.softmax(-1, dtype=exact).mean(0)).sum()


def router_z_loss(logits: Float[Tensor, "N E"]) -> Float[Tensor, ""]:
    """The mean square of the log-sum-exp of the router's logits: keeps them small.

    Source: arXiv 2202.08906, eq. 5. Oracle: tests/train/test_routing.py::test_z_loss_by_hand
    """
    exact = torch.promote_types(logits.dtype, torch.float32)
    return logits.to(exact).logsumexp(-1).square().mean()


def load_variation(counts: Int[Tensor, "L E"]) -> Float[Tensor, " L"]:
    """The coefficient of variation of the experts' loads: 0 where all take the same.

    Source: arXiv 1701.06538, eq. 6 to 8 (there squared).
    Oracle: tests/train/test_routing.py::test_numbers_by_hand
    """
    loads = counts.double()
    return loads.std(-1, correction=0) / loads.mean(-1)


@dataclass(kw_only=True)
class _Seen:
    """What the passes of a step were like, in this process."""

    counts: Tensor
    sums: dict[str, float] = field(default_factory=lambda: dict.fromkeys(SUMS, 0.0))


SUMS = ("num_terms", "balance_loss", "z_loss", "num_dropped")


class Routing(Hook):
    """Adds the router's losses to an objective, moves the bias, and tells the load of experts.

    Made before the run, for one network; `objective` is what the run minimises, and the hook must
    be among the run's hooks. The bias is moved after each step, by the loads of all processes.
    Raises SettingError for a network without experts.
    Source: ours. Oracle: tests/train/test_routing.py::test_loss_equals_a_plain_loop
    """

    def __init__(self, network: nn.Module, settings: RoutingSettings) -> None:
        self._settings = settings
        self._layers = [module for module in network.modules() if isinstance(module, MoE)]
        if not self._layers:
            rule, remedy = "has no experts", "Train it without routing settings"
            raise SettingError("network", type(network).__name__, rule, remedy=remedy)
        self._num_steps = 0
        self._seen = self._nothing()
        self._counts = self._seen.counts
        for layer in self._layers:
            layer.capacity_factor = settings.capacity_factor or None
            if settings.bias_rate:
                router = layer.gate
                router.bias = torch.zeros(len(router.weight), device=router.weight.device)

    def objective(self, base: Objective) -> Objective:
        """`base` plus the losses of the router, each as often as the pass has terms."""

        def with_losses(
            network: Any, items: Sequence[Any], /, *, weight: float = 1.0
        ) -> Float[Tensor, ""]:
            records = self._start()
            try:
                loss = base(network, items, weight=weight)
            finally:
                self._stop()
            num_terms = weight * sum(item.num_terms for item in items)
            kept = _kept_rows(items, loss.device)
            return loss + num_terms * self._losses(records, num_terms, kept)

        return with_losses

    def begin(self, progress: TrainingProgress) -> None:
        """Know how long the run is."""
        self._num_steps = progress.num_steps

    def numbers(self) -> Mapping[str, Any]:
        """Load of experts [parts of all assignments, layer by layer] and the router's losses."""
        seen, self._seen = self._seen, self._nothing()
        sums = torch.tensor([seen.sums[name] for name in SUMS], dtype=torch.float64)
        sums = sums.to(seen.counts.device)
        if world_size() > 1:
            torch.distributed.all_reduce(seen.counts)
            torch.distributed.all_reduce(sums)
        num_terms, balance, z, num_dropped = sums.tolist()
        self._counts = counts = seen.counts
        loads = counts / counts.sum(-1, keepdim=True)
        return {
            "balance_loss": balance / num_terms,
            "router_z_loss": z / num_terms,
            "dropped_frac": num_dropped / int(counts.sum()),
            "load_variation": float(load_variation(counts).mean()),
            "smallest_load_frac": float(loads.min()),
            "expert_load_frac": [[round(one, 6) for one in layer] for layer in loads.tolist()],
        }

    def step(self, told: Mapping[str, Any], batch: Batch) -> None:
        """Move the bias towards experts with less than their share; at last towards 0."""
        if not self._settings.bias_rate:
            return
        left = self._num_steps - int(told["step"]) - 1
        for layer, counts in zip(self._layers, self._counts, strict=True):
            bias = layer.gate.bias
            assert bias is not None
            if left < self._settings.anneal_frac * self._num_steps:
                bias.mul_(left / (left + 1))
            else:
                short = (counts.double().mean() - counts).sign()
                bias.add_(short.to(bias.dtype), alpha=self._settings.bias_rate)

    def _nothing(self) -> _Seen:
        like = self._layers[0].gate.weight
        num = len(like)
        return _Seen(
            counts=torch.zeros(len(self._layers), num, dtype=torch.long, device=like.device)
        )

    def _start(self) -> list[list[Routed]]:
        records: list[list[Routed]] = []
        for layer in self._layers:
            layer.records = []
            records.append(layer.records)
        return records

    def _stop(self) -> None:
        for layer in self._layers:
            layer.records = None

    def _losses(self, records: list[list[Routed]], num_terms: float, kept: Tensor | None) -> Tensor:
        """The weighted losses of a pass, a mean over layers; notes what it was like."""
        settings = self._settings
        if kept is not None:
            records = [[_only(one, kept) for one in layer] for layer in records]
        flat = [one for layer in records for one in layer]
        balance = torch.stack([balance_loss(one.logits, one.chosen) for one in flat]).mean()
        z = torch.stack([router_z_loss(one.logits) for one in flat]).mean()
        if num_terms:  # else a pass that only keeps step with other processes
            sums = self._seen.sums
            sums["num_terms"] += num_terms
            sums["balance_loss"] += num_terms * float(balance.detach())
            sums["z_loss"] += num_terms * float(z.detach())
            sums["num_dropped"] += sum(one.num_dropped for one in flat)
            for counts, layer in zip(self._seen.counts, records, strict=True):
                for one in layer:
                    counts += one.chosen.flatten().bincount(minlength=len(counts))
        return settings.balance_loss * balance + settings.z_loss * z


def _kept_rows(items: Sequence[Any], device: torch.device) -> Tensor | None:
    """Rows of a pass that are text; None where all are: filling has no part in the balance."""
    filling = [getattr(item, "num_filling_tokens", 0) for item in items]
    if not any(filling) or len(items) == 0:
        return None
    sizes = zip(items, filling, strict=True)
    parts = [torch.arange(len(item)) < len(item) - num for item, num in sizes]
    kept = torch.cat(parts).to(device)
    return kept if bool(kept.any()) else None


def _only(one: Routed, kept: Tensor) -> Routed:
    assert len(kept) == len(one.logits), "items with filling go through the network together"
    return Routed(logits=one.logits[kept], chosen=one.chosen[kept], num_dropped=one.num_dropped)
