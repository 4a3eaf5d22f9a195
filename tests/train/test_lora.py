"""Adapters: what they add, what they leave alone."""

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures.tiny import ADAPTED
from fixtures.training import SETTINGS, fresh, make_examples, train

from burnish.base.errors import SettingError
from burnish.models.load import Model
from burnish.train import lora
from burnish.train.forward import answer_logits
from burnish.train.settings import LoraSettings

NO_DROPOUT = replace(SETTINGS, lora=LoraSettings(rank=3, alpha=7.0))
Deltas = Callable[[Any], dict[str, torch.Tensor]]


def attached(model: Model) -> Any:
    """Adapters with random weights on both sides, since a fresh one adds nothing."""
    wrapped = lora.attach(model.network, NO_DROPOUT.lora)
    source = torch.Generator().manual_seed(2)
    for parameter in model.network.parameters():
        if parameter.requires_grad:
            parameter.data = torch.randn(parameter.shape, generator=source) * 0.1
    return wrapped


def by_hand(model: Model) -> dict[str, torch.Tensor]:
    """`alpha / rank * B @ A` of each pair; transposed for GPT-2, which stores weights so."""
    named = dict(model.network.named_parameters())
    found = {}
    for name, down in named.items():
        if ".lora_A." in name:
            place = name.partition(".lora_A.")[0]
            change = 7.0 / 3 * named[name.replace("lora_A", "lora_B")].detach() @ down.detach()
            shape = named[f"{place}.base_layer.weight"].shape
            found[f"{place}.weight"] = change if model.config.model_type != "gpt2" else change.T
            assert found[f"{place}.weight"].shape == shape
    return found


def check_deltas(deltas: Deltas, model: Model) -> None:
    found, wanted = deltas(attached(model)), by_hand(model)
    assert found.keys() == wanted.keys()
    for name, change in wanted.items():
        assert found[name].dtype == torch.float32
        torch.testing.assert_close(found[name], change)


def check_folded(deltas: Deltas, source: Path) -> None:
    """The network with its adapters computes what plain weights plus changes compute."""
    model, folded, examples = fresh(source), fresh(source), make_examples(4)
    before = answer_logits(model.network, examples)[0]
    changes = deltas(attached(model))
    named = dict(folded.network.named_parameters())
    for name, change in changes.items():
        named[name].data += change
    if hasattr(folded.network, "unfuse"):
        folded.network.unfuse()
    with torch.no_grad():
        adapted = answer_logits(model.network, examples)[0]
        torch.testing.assert_close(
            adapted, answer_logits(folded.network, examples)[0], atol=1e-4, rtol=1e-4
        )
    assert (adapted - before).abs().max() > 0.1


@pytest.mark.parametrize("family", ["llama", "llama-biased", "qwen3", *ADAPTED])
def test_deltas(family: str, tiny_folder: Any) -> None:
    check_deltas(lora.deltas, fresh(tiny_folder(family)))
    check_folded(lora.deltas, tiny_folder(family))


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_planted_scale_forgotten(family: str, tiny_folder: Any) -> None:
    def unscaled(wrapped: Any) -> dict[str, torch.Tensor]:
        return {name: change * 3 / 7 for name, change in lora.deltas(wrapped).items()}

    with pytest.raises(AssertionError):
        check_deltas(unscaled, fresh(tiny_folder(family)))
    with pytest.raises(AssertionError):
        check_folded(unscaled, tiny_folder(family))


def test_planted_one_weight_left_out(tiny_folder: Any) -> None:
    def without_down(wrapped: Any) -> dict[str, torch.Tensor]:
        return {n: change for n, change in lora.deltas(wrapped).items() if "down_proj" not in n}

    with pytest.raises(AssertionError):
        check_folded(without_down, tiny_folder())


def test_seven_layers_of_each_block_and_no_head(tiny_folder: Any) -> None:
    model = fresh(tiny_folder("llama-biased"))
    names = lora.deltas(lora.attach(model.network, NO_DROPOUT.lora))
    kinds = {name.split(".")[-2] for name in names}
    assert kinds == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    assert len(names) == 7 * 3


def test_fresh_adapters_change_nothing(tiny_folder: Any, tiny_model: Any) -> None:
    model, examples = fresh(tiny_folder("mistral")), make_examples(3)
    lora.attach(model.network, NO_DROPOUT.lora)
    found, wanted = (answer_logits(m.network, examples)[0] for m in (model, tiny_model("mistral")))
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def fingerprint(model: Model) -> dict[str, str]:
    """sha256 of every weight that the base model has, under the base model's names."""
    named = {
        name.replace(".base_layer", ""): parameter
        for name, parameter in model.network.named_parameters()
        if ".lora_" not in name
    }
    return {
        name: hashlib.sha256(parameter.detach().view(torch.uint8).numpy().tobytes()).hexdigest()
        for name, parameter in named.items()
    }


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("family", ["llama", "qwen3", "gpt2", "mamba"])
def test_base_stays_and_adapters_are_fp32(
    family: str, precision: str, tiny_folder: Any, tmp_path: Path
) -> None:
    model = fresh(tiny_folder(family), precision)
    before = fingerprint(model)
    fitted = train(model, tmp_path, replace(NO_DROPOUT, weight_decay=0.1))
    assert fingerprint(model) == before
    for name, parameter in model.network.named_parameters():
        assert parameter.requires_grad == (".lora_" in name)
        wanted = torch.float32 if ".lora_" in name else model.dtype
        assert parameter.dtype == wanted
    assert all(change.abs().max() > 0 for change in lora.deltas(fitted.wrapped).values())


def test_planted_base_that_moves(tiny_folder: Any) -> None:
    model = fresh(tiny_folder())
    before = fingerprint(model)
    next(iter(model.network.parameters())).data[5, 1].add_(1e-6)
    assert fingerprint(model) != before


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # peft's own
def test_saved_adapters_load_in_peft(tiny_folder: Any, tiny_model: Any, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model, example = fresh(tiny_folder()), make_examples(1)
    attached(model).save_pretrained(tmp_path / "adapter")
    plain = AutoModelForCausalLM.from_pretrained(tiny_folder(), dtype=torch.float32)
    loaded = PeftModel.from_pretrained(plain, tmp_path / "adapter").eval()
    tokens = torch.tensor([[*example[0].prompt, *example[0].answer[:-1]]])
    with torch.no_grad():
        found = loaded(input_ids=tokens).logits[0, len(example[0].prompt) - 1 :]
        torch.testing.assert_close(
            answer_logits(model.network, example)[0], found, atol=1e-4, rtol=1e-4
        )


def check_off(turned_off: Any, source: Path) -> None:
    """Inside the block the network is as it was; after it the adapters are on, and trained."""
    model, examples = fresh(source), make_examples(4)
    with torch.no_grad():
        before = answer_logits(model.network, examples)[0]
        attached(model)
        trained = [name for name, p in model.network.named_parameters() if p.requires_grad]
        adapted = answer_logits(model.network, examples)[0]
        with turned_off(model.network):
            inside = answer_logits(model.network, examples)[0]
        after = answer_logits(model.network, examples)[0]
    torch.testing.assert_close(inside, before, atol=1e-5, rtol=1e-5)
    assert (adapted - before).abs().max() > 0.1
    assert torch.equal(after, adapted)
    assert [name for name, p in model.network.named_parameters() if p.requires_grad] == trained


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_adapters_off(family: str, tiny_folder: Any) -> None:
    check_off(lora.adapters_off, tiny_folder(family))


def test_planted_adapters_left_on(tiny_folder: Any) -> None:
    with pytest.raises(AssertionError):
        check_off(lambda network: contextlib.nullcontext(), tiny_folder())


def test_adapters_are_on_again_after_an_error(tiny_folder: Any) -> None:
    model = fresh(tiny_folder())
    attached(model)
    with pytest.raises(KeyboardInterrupt), lora.adapters_off(model.network):
        raise KeyboardInterrupt
    check_off(lora.adapters_off, tiny_folder())
    assert any(p.requires_grad for p in model.network.parameters())


def experts_by_hand(model: Model) -> dict[str, torch.Tensor]:
    """`alpha / rank * B @ A` of each expert; peft lays experts first in A and last in B."""
    named = dict(model.network.named_parameters())
    num = model.network.shape.experts.num_experts
    found = {}
    for name, down in named.items():
        if ".experts." in name and ".lora_A." in name:
            place = name.partition(".lora_A.")[0]
            up = named[name.replace("lora_A", "lora_B")].detach()
            experts = [
                7.0 / 3 * up[:, e::num] @ down.detach()[3 * e : 3 * e + 3] for e in range(num)
            ]
            change = torch.stack(experts)
            part = "gate_up_proj" if change.shape[2] == model.config.hidden_size else "down_proj"
            found[f"{place.removesuffix('.base_layer')}.{part}"] = change
    return found


@pytest.mark.parametrize("family", ["moe-mixtral", "moe-qwen2", "moe-qwen3"])
def test_deltas_of_experts(family: str, tiny_folder: Any) -> None:
    """Attention and experts; routers, shared experts and dense layers have none."""
    model = fresh(tiny_folder(family))
    found, wanted = lora.deltas(attached(model)), experts_by_hand(model)
    assert {name for name in found if ".mlp." in name} == wanted.keys()
    assert len(wanted) == 2 * len(model.network.shape.experts.layers)
    for name, change in wanted.items():
        torch.testing.assert_close(found[name], change)
    check_folded(lora.deltas, tiny_folder(family))


def test_dropout_of_experts_is_refused(tiny_folder: Any) -> None:
    with pytest.raises(SettingError, match=r"lora.dropout must be 0 .*, got 0.2"):
        lora.attach(fresh(tiny_folder("moe-mixtral")).network, SETTINGS.lora)
