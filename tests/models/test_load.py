"""From specs to models, and what the errors say."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures.tiny import packed_logits, reference_logits, texts

from burnish.base.errors import MissingFileError, ModelError, SettingError, UnknownNameError
from burnish.base.files import write_json
from burnish.models import precision as precision_module
from burnish.models.adapters import Adapter
from burnish.models.decoder import Decoder
from burnish.models.load import choose_device, load_model, resolve_folder
from burnish.models.precision import choose_precision


@pytest.fixture
def copied(tiny_folder: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder("llama"), tmp_path / "model"))


def change(file: Path, **fields: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def test_claimed_families_get_our_decoder(tiny_model: Any) -> None:
    model = tiny_model("llama")
    assert isinstance(model.network, Decoder)
    assert (model.dtype, model.eos_ids, model.max_position) == (torch.float32, {2}, 4096)
    assert not any(p.requires_grad for p in model.network.parameters())
    assert not model.network.training
    tied = model.network
    assert tied.lm_head.weight is tied.model.embed_tokens.weight
    assert isinstance(tiny_model("gpt2").network, Adapter)
    assert tiny_model("mamba").max_position > 10**6


def test_bf16_is_the_fp32_model_rounded(tiny_model: Any) -> None:
    full, half = tiny_model("qwen3").network, tiny_model("qwen3", "bf16").network
    for name, tensor in full.state_dict().items():
        assert torch.equal(tensor.bfloat16(), half.state_dict()[name]), name


def test_run_folders_hold_their_model_inside(copied: Path) -> None:
    assert resolve_folder(str(copied)) == copied
    assert resolve_folder(str(copied.parent)) == copied


def test_end_tokens_come_from_the_generation_settings(copied: Path) -> None:
    change(copied / "generation_config.json", eos_token_id=[0, 2])
    assert load_model(str(copied)).eos_ids == {0, 2}
    (copied / "generation_config.json").unlink()
    assert load_model(str(copied)).eos_ids == {2}
    change(copied / "config.json", eos_token_id=None)
    assert load_model(str(copied)).eos_ids == frozenset()


def test_specs_that_name_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownNameError, match="smollm2-135m"):
        load_model("smolm2-135m")
    with pytest.raises(MissingFileError, match="existing file"):
        load_model("absent.gguf")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"must contain config.json"):
        load_model("empty")


def test_hub_without_network_is_one_sentence() -> None:
    with pytest.raises(ModelError, match="could not be fetched from the hub"):
        load_model("nobody/no-such-model")


def test_broken_configuration_is_one_sentence(copied: Path) -> None:
    (copied / "config.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(str(copied))


def test_folder_without_tokenizer(copied: Path) -> None:
    for file in copied.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(ModelError, match="tokenizer of model"):
        load_model(str(copied))


@pytest.mark.parametrize("kind", ["t5", "bert", "clip"])
def test_models_that_generate_no_text_are_refused(kind: str, tmp_path: Path) -> None:
    from transformers import AutoConfig

    AutoConfig.for_model(kind).save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"x")
    with pytest.raises(ModelError, match=f"is of type {kind}, which does not generate text"):
        load_model(str(tmp_path))


def test_the_probe_sees_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    """bf16 that is fast for a decode step and slow for a prompt, as with AVX2, is not chosen."""
    seconds = {(8, torch.float32): 4, (8, torch.bfloat16): 1,
               (128, torch.float32): 14, (128, torch.bfloat16): 57}  # fmt: skip
    now = [0.0]

    def linear(rows: torch.Tensor, weight: torch.Tensor) -> None:
        now[0] += seconds[len(rows), rows.dtype]

    monkeypatch.setattr(precision_module.F, "linear", linear)
    monkeypatch.setattr(precision_module.time, "perf_counter", lambda: now[0])
    precision_module.probe.cache_clear()
    try:
        assert precision_module.probe() == {"fp32": 18, "bf16": 58}
        assert choose_precision("auto", torch.device("cpu")) == (torch.float32, None)
    finally:
        precision_module.probe.cache_clear()


def test_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    assert choose_precision("fp32", cpu) == (torch.float32, None)
    assert choose_precision("bf16", cpu) == (torch.bfloat16, None)
    assert choose_precision("auto", torch.device("cuda")) == (torch.bfloat16, None)
    with pytest.raises(SettingError, match="must be auto, fp32, bf16, int8 or int4"):
        choose_precision("fp16", cpu)
    for times, wanted in [((1.0, 0.8), torch.bfloat16), ((1.0, 0.9), torch.float32)]:
        probed = dict(zip(("fp32", "bf16"), times, strict=True))
        monkeypatch.setattr(precision_module, "probe", lambda probed=probed: probed)
        assert choose_precision("auto", cpu) == (wanted, None)


def test_probe_times_both_formats() -> None:
    times = precision_module.probe()
    assert times.keys() == {"fp32", "bf16"}
    assert all(0 < seconds < 10 for seconds in times.values())


def test_device() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    with pytest.raises(SettingError, match="device is not known to torch, got 'foo'"):
        choose_device("foo")
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_a_run_in_which_no_round_helped_is_its_base(
    tiny_folder: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = str(tiny_folder())
    write_json(tmp_path / "result.json", {"what": "improve", "base": base, "model": base})
    assert resolve_folder(str(tmp_path)) == Path(base)
    assert "no round improved the model" in capsys.readouterr().err
    for other in ({"what": "prefer", "base": base, "model": base},
                  {"what": "improve", "base": base, "model": str(tmp_path / "model")}):  # fmt: skip
        write_json(tmp_path / "result.json", other)
        with pytest.raises(ModelError, match=r"must contain config\.json"):
            resolve_folder(str(tmp_path))


def test_end_tokens_are_numbers(copied: Path) -> None:
    (copied / "generation_config.json").write_text('{"eos_token_id": [2, 5]}')
    assert load_model(str(copied)).eos_ids == {2, 5}
    for wrong in ("two", [2, "five"], 2.5, {"a": 1}):
        (copied / "generation_config.json").write_text(json.dumps({"eos_token_id": wrong}))
        with pytest.raises(ModelError, match="eos_token_id of model must be a token's number"):
            load_model(str(copied))


def test_a_count_that_is_text_is_one_sentence(copied: Path) -> None:
    change(copied / "config.json", num_hidden_layers="two")
    with pytest.raises(ModelError, match="config of model cannot be read"):
        load_model(str(copied))


@pytest.mark.parametrize(
    "scaling",
    [{"type": "linear", "factor": 2.0},
     {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}],
)  # fmt: skip
def test_scaling_written_beside_parameters_holds(scaling: dict[str, Any], copied: Path) -> None:
    """Model cards say: add `rope_scaling` to config.json. It then stands beside the newer field."""
    from transformers import AutoModelForCausalLM

    change(copied / "config.json", rope_scaling=scaling)
    assert "rope_parameters" in json.loads((copied / "config.json").read_text())
    reference = AutoModelForCausalLM.from_pretrained(copied, dtype=torch.float32).eval()
    (tokens,) = texts([23])
    (found,) = packed_logits(load_model(str(copied), precision="fp32").network, [tokens])
    torch.testing.assert_close(found, reference_logits(reference, tokens), atol=1e-4, rtol=1e-4)


def test_the_decoder_of_a_model(tiny_model: Any) -> None:
    assert tiny_model("llama").decoder is tiny_model("llama").network
    with pytest.raises(AssertionError):
        _ = tiny_model("gpt2").decoder
