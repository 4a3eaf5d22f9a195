"""Layers in parts, one a process (FSDP2): whole only while they compute."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from burnish.base.errors import SettingError
from burnish.distrib.rank import world_size
from burnish.models.adapters import Adapter
from burnish.models.decoder import Decoder


class ShardedLayers:
    """A decoder whose layers' weights, gradients and optimiser states lie in parts.

    Embedding, final norm, head and what a solver's layers share stay whole in each process: losses
    take the head's weight as it is. All evaluations of a layer are one unit. All processes must
    make the same calls in the same order, down to the number of passes.
    Raises SettingError for another network, and for a process alone.
    Source: FSDP2 (`torch.distributed.fsdp.fully_shard`), arXiv 2304.11277 for the idea.
    Oracle: tests/train/test_sharding.py::test_sharded_equals_one_process
    """

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        self._network = _checked(network)
        self._empty = _without_weights(self._network.model)
        stack = self._network.model
        mesh = init_device_mesh(device.type, (world_size(),))
        for layer in stack.layers:
            sharded = fully_shard(layer, mesh=mesh)
            sharded.set_gradient_divide_factor(1.0)  # summed: the loop divides by the terms
            sharded.set_force_sum_reduction_for_comms(True)  # gloo knows no other
        apart = {*stack.embed_tokens.parameters(), *stack.norm.parameters()}
        apart |= set() if stack.solver is None else set(stack.solver.parameters())
        fully_shard(stack, mesh=mesh, ignored_params=apart)  # gathers nothing: it orders the layers

    def gather(self) -> None:
        """Make the network an ordinary one again, whole in each process.

        Source: ours. Oracle: tests/train/test_sharding.py::test_sharded_equals_one_process
        """
        stack = self._network.model
        for layer, empty in zip(stack.layers, self._empty.layers, strict=True):
            named = layer.named_parameters()
            weights = {name: whole(p.detach()).to(p.device) for name, p in named}
            empty.load_state_dict(weights, assign=True)
            empty.train(layer.training)
        self._empty.embed_tokens, self._empty.norm = stack.embed_tokens, stack.norm
        self._empty.solver = stack.solver
        self._network.model = self._empty


def is_part(value: Any) -> bool:
    """Whether this is a DTensor; without importing them, which takes a second."""
    return hasattr(value, "full_tensor")


def gathered(value: Any) -> Any:
    """The whole tensor of which a process holds a part, on its device; anything else as it is."""
    return value.full_tensor() if is_part(value) else value


def whole(value: Any) -> Any:
    """The whole tensor of which a process holds a part, in main memory; anything else as it is."""
    return gathered(value).cpu() if is_part(value) else value


def part(value: Any, like: Any) -> Any:
    """The part of a whole tensor that this process holds of `like`; numbers as they are."""
    if is_part(like) and isinstance(value, Tensor) and value.shape == like.shape:
        from torch.distributed.tensor import distribute_tensor

        return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)
    return value


def clip_gradients(parameters: Sequence[nn.Parameter], max_norm: float) -> Tensor:
    """Scale gradients to a norm of at most `max_norm`; the norm before, over all processes.

    Source: `torch.nn.utils.clip_grad_norm_`, which refuses whole tensors beside parts.
    Oracle: tests/train/test_sharding.py::test_sharded_equals_one_process
    """
    gradients: list[Any] = [p.grad for p in parameters if p.grad is not None]
    parts = [one.to_local() for one in gradients if is_part(one)]
    others = [one for one in gradients if not is_part(one)]
    squares = torch.stack([one.float().square().sum() for one in parts]).sum()
    torch.distributed.all_reduce(squares)
    norm = torch.stack([squares, *(one.float().square().sum() for one in others)]).sum().sqrt()
    scale = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    for one in (*parts, *others):
        one.mul_(scale.to(one.dtype))
    return norm


def _checked(network: nn.Module) -> Decoder:
    if world_size() == 1:
        rule, remedy = "needs several processes", "Start with torchrun, or set it to none"
        raise SettingError("sharding", "fsdp2", rule, remedy=remedy)
    if not isinstance(network, Decoder):
        inner = network.network if isinstance(network, Adapter) else network
        rule = "cannot be sharded: only our decoder's passes are equal in number"
        raise SettingError("model class", type(inner).__name__, rule, remedy="Set sharding to none")
    return network


def _without_weights(stack: nn.Module) -> Any:
    """A copy of the modules whose parameters take no memory."""
    memo = {
        id(p): nn.Parameter(torch.empty_like(p, device="meta"), requires_grad=p.requires_grad)
        for p in stack.parameters()
    }
    return copy.deepcopy(stack, memo)
