"""A saved folder is a whole Hugging Face model: transformers and we load it alike."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures.tiny import DECODERS, EXPERTS, packed_logits, reference_logits, texts

from burnish.base.errors import StorageError
from burnish.models import save as save_module
from burnish.models.load import Model, load_model
from burnish.models.save import save_model

Save = Callable[[Model, Path], Path]


def check_saved(save: Save, model: Model, reference: Any, folder: Path) -> None:
    """The saved folder holds, for transformers, the weights of the folder that it came from."""
    from transformers import AutoModelForCausalLM

    assert save(model, folder) == folder
    saved = AutoModelForCausalLM.from_pretrained(folder).eval()
    torch.testing.assert_close(saved.state_dict(), reference.state_dict(), rtol=0, atol=0)
    for tokens in texts([9, 14]):  # transformers' own sums depend on where weights lie in memory
        found, wanted = reference_logits(saved, tokens), reference_logits(reference, tokens)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
    assert saved.generation_config.eos_token_id == 2


@pytest.mark.parametrize("family", [*DECODERS, *EXPERTS, "gpt2", "mamba"])
def test_saved_folder_has_the_same_logits(
    family: str, tiny_model: Any, tiny_reference: Any, tmp_path: Path
) -> None:
    check_saved(save_model, tiny_model(family), tiny_reference(family), tmp_path / "saved")


@pytest.mark.parametrize("family", ["llama-biased", "qwen3", "moe-qwen2"])
def test_saved_folder_loads_again(family: str, tiny_model: Any, tmp_path: Path) -> None:
    model = tiny_model(family)
    again = load_model(str(save_model(model, tmp_path / "saved")), precision="fp32")
    (tokens,) = texts([9])
    before, after = (packed_logits(m.network, [tokens])[0] for m in (model, again))
    assert torch.equal(before, after)
    text = "the abc <|im_end|> 12"
    assert again.tokenizer.encode(text) == model.tokenizer.encode(text)
    assert again.tokenizer.chat_template == model.tokenizer.chat_template
    assert (again.eos_ids, again.max_position) == (model.eos_ids, model.max_position)


def test_planted_fused_weights_saved_as_first_view(
    tiny_model: Any, tiny_reference: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(decoder: Any, dtype: Any, target: Path) -> None:
        copied = decoder.state_dict()
        names = [name for name in copied if ".k_proj." in name]
        kept = {name: copied[name].clone() for name in names}
        for name in names:
            copied[name].copy_(copied[name.replace("k_proj", "q_proj")][: len(copied[name])])
        write(decoder, dtype, target)
        for name in names:
            copied[name].copy_(kept[name])

    write = save_module._write_decoder
    monkeypatch.setattr(save_module, "_write_decoder", spoilt)
    with pytest.raises(AssertionError):
        check_saved(save_model, tiny_model("llama"), tiny_reference("llama"), tmp_path / "saved")


def test_every_end_token_survives(tiny_folder: Any, tmp_path: Path) -> None:
    """Chat models name all their end tokens in generation_config.json only."""
    import shutil

    folder = shutil.copytree(tiny_folder("qwen2"), tmp_path / "source")
    settings = json.loads((folder / "generation_config.json").read_text())
    settings |= {"eos_token_id": [2, 0], "temperature": 0.7, "do_sample": True}
    (folder / "generation_config.json").write_text(json.dumps(settings))
    model = load_model(str(folder), precision="fp32")
    assert model.eos_ids == {0, 2}
    assert load_model(str(save_model(model, tmp_path / "saved"))).eos_ids == {0, 2}


def test_bf16_is_saved_as_bf16(tiny_model: Any, tmp_path: Path) -> None:
    save_model(tiny_model("llama", "bf16"), tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "config.json").read_text())["dtype"] == "bfloat16"
    from safetensors.torch import load_file

    state = load_file(tmp_path / "saved" / "model.safetensors")
    assert {tensor.dtype for tensor in state.values()} == {torch.bfloat16}
    assert "lm_head.weight" not in state  # tied


def test_saving_replaces_the_folder_as_a_whole(tiny_model: Any, tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "stale.txt").write_text("old")
    save_model(tiny_model("llama"), folder)
    assert not (folder / "stale.txt").exists()
    assert os.listdir(tmp_path) == ["saved"]


def test_a_failed_save_keeps_the_old_folder(
    tiny_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(decoder: Any, dtype: Any, target: Path) -> None:
        raise OSError(28, "No space left on device")

    folder = save_model(tiny_model("llama"), tmp_path / "saved")
    before = sorted(os.listdir(folder))
    monkeypatch.setattr(save_module, "_write_decoder", full)
    with pytest.raises(StorageError, match="No space left"):
        save_model(tiny_model("llama"), folder)
    assert sorted(os.listdir(folder)) == before
    assert os.listdir(tmp_path) == ["saved"]


def test_an_untouched_model_may_be_saved_over_its_own_folder(
    tiny_model: Any, tiny_reference: Any, tmp_path: Path
) -> None:
    folder = save_model(tiny_model("llama"), tmp_path / "saved")
    model = load_model(str(folder), precision="fp32")
    check_saved(save_model, model, tiny_reference("llama"), folder)


@pytest.mark.weights
def test_smollm2_saved_folder_has_the_same_logits(
    smollm2: Any, smollm2_reference: Any, tmp_path: Path
) -> None:
    check_saved(save_model, smollm2, smollm2_reference, tmp_path / "saved")
