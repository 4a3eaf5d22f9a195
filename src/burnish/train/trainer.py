"""One step of the loop: gradients over passes and processes, then the optimiser."""

import math
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from burnish.base.errors import SettingError
from burnish.distrib.rank import is_main, rank, world_size
from burnish.distrib.team import join_group
from burnish.train.checkpoint import load_checkpoint, save_checkpoint
from burnish.train.compiling import compile_blocks, forget_compiled
from burnish.train.hooks import Gradients, PassGradient
from burnish.train.objective import Objective
from burnish.train.optim import Optimizer
from burnish.train.optimizers import build_optimizer
from burnish.train.schedule import Schedule
from burnish.train.sharding import ShardedLayers, clip_gradients, is_part
from burnish.train.steps import Batch, BatchSource, Microbatch


@dataclass(frozen=True, kw_only=True)
class Training:
    """What is trained, on what, and how.

    The parameters of `network` that require gradients are trained in place, in their own dtype;
    `autocast` is the dtype of the products (None: that of the weights). `compile` compiles
    repeated blocks with torch.compile, `sharding` is a decoder's alone. Seed the global random
    streams before the network is made (`seed_everything`): what it draws is the caller's.
    """

    network: nn.Module
    objective: Objective
    source: BatchSource
    optimizer: Optimizer
    schedule: Schedule
    max_grad_norm: float = 1.0
    save_every_steps: int = 20
    autocast: torch.dtype | None = None
    compile: bool = False
    sharding: Literal["none", "fsdp2"] = "none"
    label: str = "train"


@dataclass(frozen=True, kw_only=True)
class Accumulated:
    """A step's mean loss and gradient norm before clipping; `gradients` where a hook wants it."""

    loss: float
    grad_norm: float
    gradients: Gradients | None


class Trainer:
    """Accumulates the gradient of a step over its passes and processes, and updates.

    Source: ours. Oracle: tests/train/test_loop.py::test_full_training_by_hand
    """

    def __init__(self, training: Training, *, measures: bool = False) -> None:
        self.training, self.network = training, training.network
        self._device = next(self.network.parameters()).device
        join_group(self._device.type)
        self._compiled = compile_blocks(self.network) if training.compile else []
        sharded = training.sharding == "fsdp2"
        self._shards = ShardedLayers(self.network, self._device) if sharded else None
        self.parameters = [p for p in self.network.parameters() if p.requires_grad]
        self.optimizer = build_optimizer(training.optimizer, self.network)
        self._peaks = [group["lr"] for group in self.optimizer.param_groups]
        if measures and sharded:
            rule, remedy = "gives no norms of single passes", "Set it to none"
            raise SettingError("sharding", "fsdp2", rule, remedy=remedy)
        self._noted: list[tuple[int, Tensor]] | None = [] if measures else None

    def accumulate(self, batch: Batch) -> Accumulated:
        """Leave the step's gradient, clipped, in the parameters.

        With several processes each takes its share of the passes, and gradients are summed.
        """
        num_terms = batch.num_terms
        total = torch.zeros((), device=self._device)
        for one, weight in self._share(batch):
            with self._precision():
                loss = self.training.objective(self.network, one.items, weight=weight)
            self._backward(loss / num_terms, one)
            total += loss.detach()
        self._sum_over_processes(total)
        whole = 0.0 if self._noted is None else float(_square_norm(self._gradients_there()))
        clip = nn.utils.clip_grad_norm_ if self._shards is None else clip_gradients
        norm = float(clip(self.parameters, self.training.max_grad_norm))
        gradients = self._measured(num_terms, whole)
        return Accumulated(loss=float(total) / num_terms, grad_norm=norm, gradients=gradients)

    def update(self, step: int, num_steps: int) -> float:
        """One step of the optimiser along the accumulated gradient; the first group's rate."""
        schedule = self.training.schedule
        rates = [schedule.rate(peak, step, num_steps) for peak in self._peaks]
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        return rates[0]

    def save(self, path: Path, state: dict[str, Any]) -> None:
        """Write the checkpoint, from one process; the others give their parts."""
        save_checkpoint(path, self.network, self.optimizer, state, write=is_main())

    def load(self, path: Path) -> dict[str, Any]:
        """Put a checkpoint back; the state that was saved with it."""
        return load_checkpoint(path, self.network, self.optimizer)

    def finish(self) -> None:
        """Leave an ordinary network."""
        forget_compiled(self._compiled)
        if self._shards is not None:
            self._shards.gather()

    def _share(self, batch: Batch) -> list[tuple[Microbatch, float]]:
        """This process's passes of a step, and what each weighs.

        Sharded layers are gathered by all at once, so a process that has a pass less than the
        others repeats one with weight 0.
        """
        world = world_size()
        own = [(one, 1.0) for one in batch.passes[rank() :: world]]
        if self._shards is not None and len(own) < math.ceil(len(batch.passes) / world):
            own.append((batch.passes[-1], 0.0))
        return own

    def _backward(self, loss: Tensor, one: Microbatch) -> None:
        if self._noted is None:
            loss.backward()
            return
        before = [p.grad for p in self.parameters]
        for parameter in self.parameters:
            parameter.grad = None
        loss.backward()
        self._noted.append((one.num_terms, _square_norm(self._gradients_there())))
        for parameter, earlier in zip(self.parameters, before, strict=True):
            if earlier is not None:  # added as autograd adds: the sum has the same bits
                parameter.grad = earlier if parameter.grad is None else earlier.add_(parameter.grad)

    def _gradients_there(self) -> list[Tensor]:
        return [p.grad for p in self.parameters if p.grad is not None]

    def _measured(self, num_terms: int, square_norm: float) -> Gradients | None:
        if self._noted is None:
            return None
        noted = [(terms, float(square)) for terms, square in self._noted]
        self._noted.clear()
        if world_size() > 1:
            every: list[Any] = [None] * world_size()
            torch.distributed.all_gather_object(every, noted)
            noted = [one for own in every for one in own]
        passes = [PassGradient(num_terms=terms, square_norm=square) for terms, square in noted]
        return Gradients(passes=passes, num_terms=num_terms, square_norm=square_norm)

    def _sum_over_processes(self, total: Tensor) -> None:
        if world_size() == 1:
            return
        for parameter in self.parameters:
            if is_part(parameter):
                continue  # summed in the backward pass
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            torch.distributed.all_reduce(parameter.grad)
        torch.distributed.all_reduce(total)

    def _precision(self) -> Any:
        if self.training.autocast is not None:
            return torch.autocast(self._device.type, dtype=self.training.autocast)
        return nullcontext()


def _square_norm(gradients: list[Tensor]) -> Tensor:
    """Sum of squares in double precision: single precision loses gradients below 1e-22."""
    norms = [torch.linalg.vector_norm(one, dtype=torch.float64) for one in gradients]
    return torch.stack(norms).square().sum()
