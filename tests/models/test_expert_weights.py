"""Folders of experts, single or stacked, against transformers."""

from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures.tiny import EXPERTS
from safetensors.torch import load_file, save_file
from torch import Tensor

from burnish.base.errors import ModelError
from burnish.models import expert_weights
from burnish.models.expert_weights import join_experts, split_experts
from burnish.models.load import load_decoder, read_config


def check_reading(folder: Path, reference: Any, state: dict[str, Tensor]) -> None:
    num = getattr(reference.config, "num_experts", 5)
    expert_weights.join_experts(state, num)
    wanted = reference.state_dict()
    assert {*state} == {*wanted} - ({"lm_head.weight"} - {*state})
    assert all(torch.equal(state[name], wanted[name]) for name in state)


@pytest.mark.parametrize("family", EXPERTS)
def test_folders_are_read_as_transformers_does(
    family: str, tiny_folder: Any, tiny_reference: Any
) -> None:
    folder, reference = tiny_folder(family), tiny_reference(family)
    state = load_file(folder / "model.safetensors")
    assert any(".experts.4." in name for name in state)  # single ones
    check_reading(folder, reference, state)
    check_reading(folder, reference, dict(reference.state_dict()))  # stacked already


def test_planted_up_for_gate(
    tiny_folder: Any, tiny_reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    swapped = {"gate_proj": "w3", "up_proj": "w1", "down_proj": "w2"}
    monkeypatch.setattr(expert_weights, "MIXTRAL", swapped)
    folder = tiny_folder("moe-mixtral")
    with pytest.raises(AssertionError):
        state = load_file(folder / "model.safetensors")
        check_reading(folder, tiny_reference("moe-mixtral"), state)


@pytest.mark.parametrize("family", EXPERTS)
def test_saved_folders_are_read_by_transformers(family: str, tiny_folder: Any) -> None:
    """The names and numbers are those that transformers writes."""
    saved = load_file(tiny_folder(family) / "model.safetensors")
    state = dict(saved)
    join_experts(state, 7 if family == "moe-qwen3" else 5)
    again = split_experts(state, EXPERTS[family][0])
    assert again.keys() == saved.keys()
    assert all(torch.equal(again[name], saved[name]) for name in saved)


def test_every_new_name_is_told(tiny_folder: Any) -> None:
    state = load_file(tiny_folder("moe-mixtral") / "model.safetensors")
    before, told = set(state), dict[str, str]()
    join_experts(state, 5, told.__setitem__)
    assert told.keys() == before - state.keys()
    assert set(told.values()) == state.keys() - before


@pytest.mark.parametrize("expert", [2, 4])
def test_a_missing_expert_is_refused(expert: int, tiny_folder: Any, tmp_path: Path) -> None:
    """One among the others, and the last one."""
    folder = tiny_folder("moe-mixtral")
    state = load_file(folder / "model.safetensors")
    for name in [n for n in state if f"layers.1.block_sparse_moe.experts.{expert}." in n]:
        del state[name]
    save_file(state, tmp_path / "model.safetensors")
    config = read_config(folder)
    with pytest.raises(ModelError):
        load_decoder(tmp_path, config, torch.float32, torch.device("cpu"))
