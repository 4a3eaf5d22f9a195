"""Which parameters an optimiser takes, and that its state comes back."""

from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures.training import fresh
from torch import nn

from burnish.base.errors import SettingError
from burnish.train.checkpoint import load_checkpoint, save_checkpoint
from burnish.train.optim import AdamW, Muon
from burnish.train.optimizers import build_optimizer, repeated_blocks


def names_of(network: nn.Module, group: dict[str, Any]) -> set[str]:
    own = {id(p) for p in group["params"]}
    return {name for name, p in network.named_parameters() if id(p) in own}


def trainable(source: Path) -> nn.Module:
    network = fresh(source).network
    network.unfuse()
    return network.requires_grad_(True)


def test_groups_by_hand(tiny_folder: Any) -> None:
    """The embedding is the head: one parameter, outside the layers."""
    network = trainable(tiny_folder("llama"))
    named = [name for name, _ in network.named_parameters()]
    layers = {name for name in named if ".layers." in name}
    norms = {name for name in layers if "norm" in name}
    outside = {"model.embed_tokens.weight", "model.norm.weight"}
    assert layers | outside == set(named)

    whole = build_optimizer(AdamW(learning_rate=0.5, weight_decay=0.1), network)
    assert [names_of(network, g) for g in whole.param_groups] == [outside, layers]
    assert {g["weight_decay"] for g in whole.param_groups} == {0.1}

    matrices = build_optimizer(AdamW(weight_decay=0.1, decay="matrices"), network)
    found = [(names_of(network, g), g["weight_decay"]) for g in matrices.param_groups]
    assert found == [
        ({"model.embed_tokens.weight"}, 0.1), ({"model.norm.weight"}, 0.0),
        (layers - norms, 0.1), (norms, 0.0),
    ]  # fmt: skip

    rest = AdamW(learning_rate=0.25, weight_decay=0.2)
    both = build_optimizer(Muon(learning_rate=0.5, weight_decay=0.1, rest=rest), network)
    found = [(names_of(network, g), g["lr"], g["weight_decay"]) for g in both.param_groups]
    assert found == [(layers - norms, 0.5, 0.1), (outside, 0.25, 0.2), (norms, 0.25, 0.2)]


def test_blocks_of_models_behind_an_adapter(tiny_folder: Any) -> None:
    network = fresh(tiny_folder("gpt2")).network.requires_grad_(True)
    assert len(list(repeated_blocks(network))) == 3
    muon = build_optimizer(Muon(), network)
    first = names_of(network, muon.param_groups[0])
    assert {name.split(".h.")[1].split(".", 1)[1] for name in first} == {
        "attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight"
    }  # fmt: skip


def test_what_is_frozen_is_left_out(tiny_folder: Any) -> None:
    network = trainable(tiny_folder("llama"))
    network.model.layers[0].requires_grad_(False)
    for settings in (AdamW(), Muon()):
        names = set().union(
            *(names_of(network, g) for g in build_optimizer(settings, network).param_groups)
        )
        assert names == {n for n, p in network.named_parameters() if p.requires_grad}
        assert not any(".layers.0." in name for name in names)


def test_a_network_without_blocks() -> None:
    with pytest.raises(SettingError, match="finds no matrix to train in repeated blocks"):
        build_optimizer(Muon(), nn.Linear(3, 5))


def stepped(network: nn.Module, num: int, optimizer: Any, *, seed: int) -> None:
    source = torch.Generator().manual_seed(seed)
    for _ in range(num):
        for parameter in network.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=source)
        optimizer.step()


def check_taken_up(source: Path, place: Path, *, forget: bool = False) -> None:
    """Three steps, a checkpoint, two more: as five; momentum and both of Adam's averages count."""
    straight, first, second = (trainable(source) for _ in range(3))
    optimizers = [
        build_optimizer(Muon(learning_rate=0.1), one) for one in (straight, first, second)
    ]
    stepped(straight, 3, optimizers[0], seed=1)
    stepped(straight, 2, optimizers[0], seed=2)
    stepped(first, 3, optimizers[1], seed=1)
    save_checkpoint(place / "state.pt", first, optimizers[1], {})
    load_checkpoint(place / "state.pt", second, optimizers[2])
    if forget:
        optimizers[2].state.clear()
    stepped(second, 2, optimizers[2], seed=2)
    for one, other in zip(straight.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_muon_is_taken_up_exactly(tiny_folder: Any, tmp_path: Path) -> None:
    check_taken_up(tiny_folder("llama"), tmp_path)


def test_planted_momentum_forgotten(tiny_folder: Any, tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        check_taken_up(tiny_folder("llama"), tmp_path, forget=True)
