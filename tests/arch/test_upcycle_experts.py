"""Upcycled models say what they said, under any router, and learn as mixtures."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures.tiny import make_folder, packed_logits, reference_logits, texts
from torch import Tensor
from typer.testing import CliRunner

from burnish.arch import upcycle_experts as upcycle_module
from burnish.arch.blocks.moe import MoEBlock
from burnish.arch.upcycle_experts import upcycle
from burnish.base.errors import ModelError, SettingError
from burnish.models.decoder import Decoder
from burnish.models.load import Model, load_model
from burnish.models.moe import MoE
from burnish.models.save import save_model

FAMILIES = {
    "llama": ("mixtral", MoEBlock(experts=5, top_k=2)),
    "mistral": ("mixtral", MoEBlock(experts=3, top_k=3)),
    "qwen2": ("qwen2_moe", MoEBlock(experts=4, top_k=1)),
    "qwen2-sliding": ("qwen2_moe", MoEBlock(experts=3, top_k=2, shared=20)),
    "qwen3": ("qwen3_moe", MoEBlock(experts=7, top_k=2)),
}


@pytest.fixture
def dense(tiny_folder: Any) -> Any:
    """Models of their own: upcycling unfuses them."""
    return lambda family: load_model(str(tiny_folder(family)), precision="fp32", device="cpu")


def check_unchanged(model: Model, block: MoEBlock) -> Decoder:
    """Also with routers of any size, and with a bias in training."""
    network = upcycle(model, block, seed=3).model.network
    assert isinstance(network, Decoder)
    wanted = packed_logits(model.network, texts())
    source = torch.Generator().manual_seed(5)
    for scale in (None, 0.0, 1.0, 30.0):
        for layer in (m for m in network.modules() if isinstance(m, MoE)):
            if scale is not None:
                noise = torch.randn(layer.gate.weight.shape, generator=source)
                layer.gate.weight.data = noise * scale
        found = packed_logits(network, texts())
        for one, other in zip(found, wanted, strict=True):
            assert float((one - other).abs().max()) <= 1e-5
    network.train()
    for layer in (m for m in network.modules() if isinstance(m, MoE)):
        layer.gate.bias = torch.randn(len(layer.gate.weight), generator=source)
    for one, other in zip(packed_logits(network, texts()), wanted, strict=True):
        assert float((one - other).abs().max()) <= 1e-5
    return network


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_stay_under_any_router(family: str, dense: Any) -> None:
    kind, block = FAMILIES[family]
    network = check_unchanged(dense(family), block)
    assert network.shape.family == kind
    (num, *_), *_ = ([m.config.num_experts] for m in network.modules() if isinstance(m, MoE))
    assert num == block.experts


def test_planted_weights_that_do_not_sum_to_one(
    dense: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loose(config: Any) -> Any:
        config.norm_topk_prob = False
        return exact(config)

    exact = upcycle_module.decoder_config
    monkeypatch.setattr(upcycle_module, "decoder_config", loose)
    with pytest.raises(AssertionError):
        check_unchanged(dense("qwen3"), MoEBlock(experts=7, top_k=2))


def test_planted_shared_expert_that_speaks(dense: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upcycle_module.torch, "zeros_like", torch.ones_like)
    with pytest.raises(AssertionError):
        check_unchanged(dense("qwen2"), MoEBlock(experts=4, top_k=1))


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_the_saved_folder_is_transformers(family: str, dense: Any, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    kind, block = FAMILIES[family]
    model = dense(family)
    made = upcycle(model, block).model
    folder = save_model(made, tmp_path / "out")
    reference = AutoModelForCausalLM.from_pretrained(folder, experts_implementation="eager").eval()
    assert reference.config.model_type == kind
    tokens = texts([23])[0]
    (before,) = packed_logits(model.network, [tokens])
    torch.testing.assert_close(reference_logits(reference, tokens), before, atol=1e-4, rtol=1e-4)
    again = load_model(str(folder), precision="fp32", device="cpu")
    (after,) = packed_logits(again.network, [tokens])
    assert isinstance(again.network, Decoder) and float((after - before).abs().max()) <= 1e-5


@pytest.mark.parametrize(
    ("family", "block", "rule"),
    [
        ("llama-biased", MoEBlock(), "has biases, which Mixtral"),
        ("llama", MoEBlock(shared=8), "head width of .* must be width / heads"),
        ("qwen3", MoEBlock(shared=8), "shared cannot be combined with this model's query norms"),
        ("moe-qwen3", MoEBlock(), "must be dense"),
        ("gpt2", MoEBlock(), "must be dense"),
    ],
)
def test_models_that_no_folder_holds(family: str, block: MoEBlock, rule: str, dense: Any) -> None:
    with pytest.raises((ModelError, SettingError), match=rule):
        upcycle(dense(family), block)


def test_command(tiny_folder: Any, tmp_path: Path) -> None:
    from burnish.cli.arch import commands
    from burnish.models.describe import describe

    out = tmp_path / "out"
    given = [
        "upcycle",
        str(tiny_folder("llama")),
        "--block",
        "moe:experts=3,top_k=2",
        "--out",
        str(out),
    ]
    found = CliRunner().invoke(commands.app, [*given, "--json"])
    result = json.loads(found.stdout)
    assert result["model"] == str(out) and result["logit_difference"] <= 1e-5
    assert result["num_params"] > result["num_active_params"] > result["dense_params"]
    assert describe(str(out))["num_active_params"] == result["num_active_params"]
    again = CliRunner().invoke(commands.app, given)
    assert isinstance(again.exception, SettingError) and "must not exist" in str(again.exception)


def wide(folder: Path) -> Path:
    return make_folder("llama", folder)


def test_experts_part_in_training(tmp_path: Path) -> None:
    """A short run of the kind that benchmarks/moe_upcycle.py takes to 200 steps."""
    from fixtures.training import FULL, make_examples, train

    from burnish.train.objective import supervised
    from burnish.train.routing import Routing, RoutingSettings

    model = upcycle(
        load_model(str(wide(tmp_path / "dense")), precision="fp32"), MoEBlock(experts=4)
    )
    hook = Routing(model.model.network, RoutingSettings())
    settings = type(FULL)(**{**vars(FULL), "num_steps": 12, "pass_tokens": 200})
    options = {"hooks": [hook], "objective": hook.objective(supervised)}
    train(model.model, tmp_path, settings, examples=make_examples(24), **options)
    for layer in (m for m in model.model.network.modules() if isinstance(m, MoE)):
        down: Tensor = layer.experts.down_proj.detach()
        differences = [
            (down[i] - down[j]).norm() / down[i].norm() for i in range(4) for j in range(i)
        ]
        assert min(differences) > 1e-3
