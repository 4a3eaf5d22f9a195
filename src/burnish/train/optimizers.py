"""Torch optimisers from settings: which parameter goes into which group."""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn

from burnish.base.errors import SettingError
from burnish.models.decoder import Decoder
from burnish.train.muon import MuonWithAdamW
from burnish.train.optim import AdamW, Muon, Optimizer


def build_optimizer(settings: Optimizer, network: nn.Module) -> torch.optim.Optimizer:
    """The optimiser of the parameters that require gradients.

    The `lr` of its groups are the peaks that a schedule scales. Muon takes the matrices of the
    repeated blocks, and AdamW the rest. Raises: SettingError, for Muon where no block has a matrix.
    Source: ours. Oracle: tests/train/test_optimizers.py::test_groups_by_hand
    """
    if isinstance(settings, AdamW):
        return _adamw(settings, network, [p for p in network.parameters() if p.requires_grad])
    return _muon(settings, network)


def _muon(settings: Muon, network: nn.Module) -> torch.optim.Optimizer:
    hidden = [p for p in _inside_blocks(network) if p.requires_grad and _is_matrix(p)]
    if not hidden:
        rule, remedy = "finds no matrix to train in repeated blocks", "Use adamw"
        raise SettingError("optimizer", "muon", rule, remedy=remedy)
    taken = {id(p) for p in hidden}
    rest = [p for p in network.parameters() if p.requires_grad and id(p) not in taken]
    return MuonWithAdamW(hidden, _adamw(settings.rest, network, rest) if rest else None, settings)


def repeated_blocks(network: nn.Module) -> Iterator[nn.Module]:
    """The members of each outermost `ModuleList`: a decoder's layers, under any name."""
    for child in network.children():
        if isinstance(child, nn.ModuleList):
            yield from child
        else:
            yield from repeated_blocks(child)


def _inside_blocks(network: nn.Module) -> list[nn.Parameter]:
    found = {id(p): p for block in repeated_blocks(network) for p in block.parameters()}
    return list(found.values())


def _is_matrix(parameter: nn.Parameter) -> bool:
    """Whether it maps vectors to vectors; leading axes (experts) are matrices of their own."""
    return parameter.ndim >= 2 and min(parameter.shape[-2:]) > 1


def _adamw(settings: AdamW, network: nn.Module, parameters: Iterable[nn.Parameter]) -> Any:
    groups = [
        {"params": some, "weight_decay": settings.weight_decay if decays else 0.0}
        for layers in _layers_apart(network, parameters)
        for some, decays in _decay_apart(settings, layers)
    ]
    return torch.optim.AdamW(
        groups,
        lr=settings.learning_rate,
        betas=settings.betas,
        eps=settings.eps,
        fused=settings.fused or None,
    )


def _layers_apart(
    network: nn.Module, parameters: Iterable[nn.Parameter]
) -> list[list[nn.Parameter]]:
    """A decoder's layers in a group: the fused optimiser takes parts of tensors or whole ones.

    They stand apart in any case, so that any number of processes takes up a checkpoint.
    """
    layers = network.model.layers.parameters() if isinstance(network, Decoder) else ()
    inside = {id(p) for p in layers}
    groups: list[list[nn.Parameter]] = [[], []]
    for parameter in parameters:
        groups[id(parameter) in inside].append(parameter)
    return [some for some in groups if some]


def _decay_apart(
    settings: AdamW, parameters: list[nn.Parameter]
) -> Iterator[tuple[list[nn.Parameter], bool]]:
    if settings.decay == "all":
        yield parameters, True
        return
    for decays in (True, False):
        some = [p for p in parameters if (p.ndim >= 2) == decays]
        if some:
            yield some, decays
