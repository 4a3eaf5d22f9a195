"""New weights, and folders that transformers reads as we do."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from burnish.arch import network as module
from burnish.arch.configs import block_of, shape_config
from burnish.arch.network import new_network, save_network, shape_of
from burnish.arch.plan import Shape
from burnish.base.errors import ModelError
from burnish.base.files import read_json
from burnish.data.shards import Marks
from burnish.models.count import count

SHAPE = Shape(num_layers=2, width=28, ffn_width=37, num_heads=2, num_kv_heads=1, vocab=101)


def make(**changes: Any) -> Any:
    torch.manual_seed(5)
    shape = Shape(**{**vars(SHAPE), **changes})
    return new_network(shape, context=16, marks=Marks(end=1), device=torch.device("cpu"))


class Nothing:
    def save_pretrained(self, folder: Path) -> None: ...


def test_new_weights() -> None:
    network = make(width=140, ffn_width=300, vocab=500)
    named = dict(network.named_parameters())
    assert sum(p.numel() for p in network.parameters()) == shape_of(network).num_params
    for name, parameter in named.items():
        if name.endswith("norm.weight"):
            assert (parameter == 1).all()
            continue
        ends = name.endswith(("o_proj.weight", "down_proj.weight"))
        assert float(parameter.detach().std()) == pytest.approx(0.01 if ends else 0.02, rel=0.05)


BLOCKS = ["dense:times=2", "moe:experts=3,top_k=2", "moe:experts=2,top_k=1,shared=20"]
BLOCKS += ["pcformer:order=4,gamma_scope=channel,beta=0.5,corrector=ema,history=3"]
BLOCKS += ["pcformer:orders=1x1-3x1,corrector=mix,function=rknorm"]


@pytest.mark.parametrize("block", BLOCKS)
def test_blocks_have_their_parameters(block: str, tmp_path: Path) -> None:
    """Counted without transformers, in the network, and in the folder that it saves."""
    network = make(block=block, width=32)
    shape = Shape(**{**vars(SHAPE), "block": block, "width": 32})
    known, own = shape_config(shape), network.shape
    assert (known.experts, known.solver, known.d_ff) == (own.experts, own.solver, known.d_ff)
    numel = sum(p.numel() for p in network.parameters())
    assert shape.num_params == count(known).num_params == count(own).num_params == numel
    assert save_network(network, Nothing(), tmp_path / "model") < 1e-5
    if not block.startswith("dense"):
        again = shape_config(Shape(**{**vars(shape), "block": block_of(own)}))
        assert (again.experts, again.solver) == (own.experts, own.solver)
    for name, parameter in network.named_parameters():
        if name.endswith("alpha") or name.endswith("gamma"):
            assert (parameter == 0).all()  # the sigmoid of 0 is a half


@pytest.mark.parametrize("tied", [True, False])
def test_saved_folder_is_a_llama(tied: bool, tmp_path: Path) -> None:
    """The cases `untied model has its head in the file` and `saved config missing head_dim`."""
    network = make(tied=tied)
    assert save_network(network, Nothing(), tmp_path / "model") < 1e-5
    state, config = (
        load_file(tmp_path / "model" / "model.safetensors"),
        read_json(tmp_path / "model" / "config.json"),
    )
    assert ("lm_head.weight" in state) != tied
    assert state["model.embed_tokens.weight"].shape == (101, 28)
    assert config["head_dim"] == 14 and config["model_type"] == "llama"
    assert config["vocab_size"] == 101 and config["architectures"] == ["LlamaForCausalLM"]


def test_a_wrong_export_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    """Query weights in another layout: pairs side by side instead of halves."""
    exact = module.save_model

    def other_layout(model: Any, folder: Path) -> Any:
        for layer in model.network.model.layers:
            weight = layer.self_attn.q_proj.weight.data
            heads = weight.clone().unflatten(0, (2, 7, 2))
            weight.copy_(heads.transpose(1, 2).flatten(0, 2))
        exact(model, folder)
        for layer in model.network.model.layers:
            weight = layer.self_attn.q_proj.weight.data
            weight.copy_(weight.clone().unflatten(0, (2, 2, 7)).transpose(1, 2).flatten(0, 2))
        return folder

    monkeypatch.setattr(module, "save_model", other_layout)
    network = make()
    for layer in network.model.layers:  # large enough to matter
        layer.self_attn.q_proj.weight.data.mul_(50)
        layer.self_attn.k_proj.weight.data.mul_(50)
    with pytest.raises(ModelError, match="must give the same logits in transformers"):
        save_network(network, Nothing(), tmp_path / "model")
