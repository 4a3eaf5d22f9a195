"""GGUF files of the families that people have, written with gguf's own tables and writer."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixtures.tiny import make_tokenizer, packed_logits, reference_logits, texts

from burnish.base.errors import ModelError
from burnish.kernels.build import build
from burnish.models import gguf as gguf_module
from burnish.models import gguf_families
from burnish.models.adapters import Adapter
from burnish.models.gguf import convert_gguf
from burnish.models.gguf_families import Settings, UnreadableError, rope_of
from burnish.models.load import load_model

WIDTHS = {"vocab_size": 269, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
          "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 4096,
          "rms_norm_eps": 3e-4}  # fmt: skip
ROPE = {"rope_type": "default", "rope_theta": 777.0}
EXPERTS = {"num_experts": 5, "num_experts_per_tok": 2, "moe_intermediate_size": 32,
           "shared_expert_intermediate_size": 32}  # fmt: skip
LONG = {"rope_type": "longrope", "rope_theta": 777.0, "original_max_position_embeddings": 32,
        "long_factor": [2.0, 3.0, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0],
        "short_factor": [1.0, 1.1, 1.2, 1.25, 1.3, 1.4, 1.5, 1.6]}  # fmt: skip
YARN = {"rope_type": "yarn", "rope_theta": 777.0, "factor": 4.0}
YARN |= {"original_max_position_embeddings": 32}

# GGUF's architecture: what the model of transformers is made with
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {"tie_word_embeddings": False, "rope_parameters": ROPE},
    "mistral": {"sliding_window": None, "head_dim": 32, "rope_parameters": ROPE},
    "mixtral": {"num_local_experts": 3, "num_experts_per_tok": 2, "rope_parameters": ROPE},
    "qwen2": {"tie_word_embeddings": True, "rope_parameters": YARN},
    "qwen3": {"head_dim": 32, "rope_parameters": ROPE | {"rope_type": "linear", "factor": 3.0}},
    "qwen2_moe": EXPERTS | {"rope_parameters": ROPE, "num_key_value_heads": 4},
    "qwen3_moe": EXPERTS | {"rope_parameters": ROPE, "head_dim": 32, "norm_topk_prob": True},
    "gemma": {"head_dim": 32, "rope_parameters": ROPE, "hidden_activation": "gelu_pytorch_tanh"},
    "gemma2": {"head_dim": 32, "query_pre_attn_scalar": 32, "sliding_window": 7,
               "attn_logit_softcapping": 20.0, "final_logit_softcapping": 9.0,
               "rope_parameters": ROPE},
    "gemma3_text": {"head_dim": 32, "query_pre_attn_scalar": 32, "sliding_window": 7,
                    "num_hidden_layers": 7,
                    "rope_parameters": {
                        "full_attention": ROPE | {"rope_type": "linear", "factor": 8.0},
                        "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}},
    "phi3": {"rope_parameters": ROPE, "pad_token_id": 0, "tie_word_embeddings": False},
    "phi3-long": {"rope_parameters": LONG, "pad_token_id": 0,
                  "original_max_position_embeddings": 32},
}  # fmt: skip
KINDS = {"mistral": "llama", "mixtral": "llama", "qwen2_moe": "qwen2moe", "qwen3_moe": "qwen3moe"}
KINDS |= {"gemma3_text": "gemma3"}
K_QUANTS = ("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS", "Q4_0")


def make_model(family: str) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(5)
    settings = {"initializer_range": 0.3} | WIDTHS | FAMILIES[family]
    config = AutoConfig.for_model(family.removesuffix("-long"), **settings)
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn(parameter.shape) * 0.1)
            assert parameter.abs().sum() > 0, name
    return model


def write(model: Any, path: Path, *, quant: str = "F32") -> Path:
    """A file as llama.cpp's converter writes it: names by gguf's tables, its changes to values."""
    import gguf

    config, given = model.config, gguf_settings(model.config)
    kind = KINDS.get(config.model_type, config.model_type)
    writer = gguf.GGUFWriter(path, kind)
    for name, value in given.items():
        add = writer.add_string if isinstance(value, str) else (
            writer.add_float32 if isinstance(value, float) else writer.add_uint32)  # fmt: skip
        add(f"{kind}.{name}", value)
    write_tokenizer(writer)
    arch = next(a for a, name in gguf.MODEL_ARCH_NAMES.items() if name == kind)
    names = gguf.get_tensor_name_map(arch, config.num_hidden_layers)
    for name, values in tensors_of(model):
        found = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert found, name
        form = gguf.GGMLQuantizationType[quant if values.ndim >= 2 else "F32"]
        writer.add_tensor(found, gguf.quants.quantize(values, form), raw_dtype=form)
    for side in ("long", "short"):
        if factors := (config.rope_parameters or {}).get(f"{side}_factor"):
            writer.add_tensor(f"rope_factors_{side}.weight", np.array(factors, "float32"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def gguf_settings(config: Any) -> dict[str, Any]:
    rope = config.rope_parameters.get("full_attention", config.rope_parameters)
    given = {
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "block_count": config.num_hidden_layers,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": config.num_attention_heads,
        "attention.head_count_kv": config.num_key_value_heads,
        "attention.layer_norm_rms_epsilon": float(config.rms_norm_eps),
        "rope.freq_base": float(rope["rope_theta"]),
    }
    others = {
        "attention.key_length": "head_dim",
        "attention.sliding_window": "sliding_window",
        "attn_logit_softcapping": "attn_logit_softcapping",
        "final_logit_softcapping": "final_logit_softcapping",
        "expert_used_count": "num_experts_per_tok",
        "expert_feed_forward_length": "moe_intermediate_size",
        "expert_shared_feed_forward_length": "shared_expert_intermediate_size",
    }
    found = {name: getattr(config, attribute, None) for name, attribute in others.items()}
    found["expert_count"] = getattr(config, "num_local_experts", getattr(config, "num_experts", 0))
    if rope["rope_type"] != "default":
        found["rope.scaling.type"] = rope["rope_type"]
        found["rope.scaling.factor"] = rope.get("factor")
        trained = rope.get("original_max_position_embeddings")
        found["rope.scaling.original_context_length"] = trained
    return given | {name: value for name, value in found.items() if value}


def tensors_of(model: Any) -> Any:
    """Names and values before gguf's tables, changed as the converter changes them."""
    config = model.config
    experts: dict[str, list[np.ndarray]] = {}
    for name, tensor in saved_state(model).items():
        values = tensor.float().numpy().copy()
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        if config.model_type.startswith("gemma") and name.endswith("norm.weight"):
            values += 1
        if KINDS.get(config.model_type, config.model_type) == "llama":
            heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
            if num := heads.get(name.split(".")[-2]):
                halves = values.reshape(num, 2, len(values) // num // 2, *values.shape[1:])
                values = halves.swapaxes(1, 2).reshape(values.shape)
        if ".experts." in name:
            before, after = name.split(".experts.")
            experts.setdefault(f"{before}.experts.{after.partition('.')[2]}", []).append(values)
        elif name.endswith("shared_expert_gate.weight"):
            yield name, values.squeeze()
        else:
            yield name, values
    for name, parts in experts.items():
        yield name, np.stack(parts)


def saved_state(model: Any) -> dict[str, torch.Tensor]:
    """The weights under the names of published checkpoints: an expert at a time."""
    import tempfile

    from safetensors.torch import load_file

    with tempfile.TemporaryDirectory() as place:
        model.save_pretrained(place)
        return load_file(Path(place) / "model.safetensors")


def write_tokenizer(writer: Any) -> None:
    import json

    tokenizer = make_tokenizer()
    made = json.loads(tokenizer.backend_tokenizer.to_str())
    tokens = [tokenizer.convert_ids_to_tokens(index) for index in range(len(tokenizer))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if index < 3 else 1 for index in range(len(tokens))])
    writer.add_token_merges([" ".join(pair) for pair in made["model"]["merges"]])
    writer.add_eos_token_id(2)


def check_file_of(family: str, place: Path) -> None:
    """A file's model has the original's logits, on a text longer than windows and scaled ranges."""
    reference = make_model(family)
    source = write(reference, place / "m.gguf")
    network = load_model(str(source), precision="fp32").network
    (tokens,) = texts([47])
    with torch.no_grad():
        if isinstance(network, Adapter):
            found = network.logits_at([tokens], [slice(None)])
        else:
            (found,) = packed_logits(network, [tokens])
    wanted = reference_logits(reference, tokens)
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-3)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    build()  # the kernels stay where they are
    monkeypatch.setenv("BURNISH_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize("family", FAMILIES)
def test_models_of_files_write_what_the_original_writes(family: str, cache: Path) -> None:
    check_file_of(family, cache)


@pytest.mark.parametrize(
    ("family", "field", "value"),
    [("gemma2", "offset", 0.0), ("llama", "interleaved", False), ("mixtral", "interleaved", False)],
)
def test_planted_changes_left_undone(
    family: str, field: str, value: Any, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    wrong = replace(gguf_families.FAMILIES[family], **{field: value})
    monkeypatch.setitem(gguf_families.FAMILIES, family, wrong)  # type: ignore[arg-type]
    with pytest.raises(AssertionError):
        check_file_of(family, cache)


@pytest.mark.parametrize("quant", K_QUANTS)
def test_quantised_weights_are_those_that_transformers_reads(quant: str, tmp_path: Path) -> None:
    """Blocks of random bytes, whose scales stay finite, against transformers' own unpacking."""
    import gguf
    from safetensors.torch import load_file
    from transformers.integrations.gguf.dequant import dequantize

    kind = gguf.GGMLQuantizationType[quant]
    block, size = gguf.GGML_QUANT_SIZES[kind]
    width = max(block, 64)
    source = np.random.default_rng(3)
    rows = {"token_embd": 269, "blk.0.ffn_down": width}
    given = {name: source.integers(0, 0x3C, (num, width // block * size), dtype=np.uint8)
             for name, num in rows.items()}  # fmt: skip
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "llama")
    counts = {"embedding_length": width, "feed_forward_length": width, "block_count": 1}
    for name, value in (counts | {"context_length": 64, "attention.head_count": 2}).items():
        writer.add_uint32(f"llama.{name}", value)
    writer.add_float32("llama.attention.layer_norm_rms_epsilon", 1e-5)
    write_tokenizer(writer)
    for name, data in given.items():
        writer.add_tensor(f"{name}.weight", data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    (tmp_path / "out").mkdir()
    convert_gguf(tmp_path / "m.gguf", tmp_path / "out")
    found = load_file(tmp_path / "out/model.safetensors")
    for name, data in given.items():
        wanted = dequantize(torch.from_numpy(data), int(kind))
        part = "model.embed_tokens" if name == "token_embd" else "model.layers.0.mlp.down_proj"
        torch.testing.assert_close(found[f"{part}.weight"], wanted.reshape(len(data), width))


def test_large_files_become_several_and_an_index(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gguf_module, "SHARD_BYTES", 40_000)
    check_file_of("qwen2", cache)
    assert len(list(cache.glob("cache/models/*/model-*.safetensors"))) > 2


def rope_from(fields: dict[str, Any], **arrays: Any) -> dict[str, Any]:
    named = {f"llama.{name}": value for name, value in fields.items()}
    named |= {"general.architecture": "llama", "llama.rope.freq_base": 500000.0}
    return rope_of(Settings(fields=named, arrays=arrays))


def test_rotary_settings_come_back() -> None:
    """Llama 3's divisors, computed by transformers, give the settings they were computed from."""
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    for factor in (8.0, 32.0):
        rope = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": factor,
                "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                "original_max_position_embeddings": 8192}  # fmt: skip
        config = LlamaConfig(hidden_size=256, num_attention_heads=2, rope_parameters=rope)
        frequencies, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
        plain = 500000.0 ** -(torch.arange(0, 128, 2) / 128)
        divisors = {"rope_freqs.weight": (plain / frequencies).numpy()}
        assert rope_from({}, **divisors) == pytest.approx(rope)
    with pytest.raises(UnreadableError, match="than Llama 3's"):
        rope_from({}, **{"rope_freqs.weight": np.array([1.0, 3.0, 7.0])})
    with pytest.raises(UnreadableError, match="by an unknown method"):
        rope_from({"rope.scaling.type": "longrope"})


def test_parts_of_split_files_are_refused(tmp_path: Path) -> None:
    import gguf

    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "llama")
    writer.add_uint16("split.count", 3)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ModelError, match=r"^GGUF file is one of 3 parts, got '[^']+\.gguf'"):
        convert_gguf(tmp_path / "m.gguf", tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"version https://git-lfs.github.com/spec/v1\n", b"GGUF", None]
)
def test_faults_of_a_file_are_one_line_that_names_it(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    if content is None:
        whole = write(make_model("qwen2"), path).read_bytes()
        content = whole[: len(whole) // 2]
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"m\.gguf"):
        convert_gguf(path, tmp_path)


def test_scores_of_gemma_by_size() -> None:
    """As in google's configurations: 144 in Gemma 2 27B, 168 in Gemma 3 27B, else the head."""
    for width, heads, wanted in ((4608, 32, 144), (5376, 32, 168)):
        values = {"embedding_length": width, "attention.head_count": heads}
        values |= {"attention.key_length": 128}
        fields = {"general.architecture": "gemma"} | {f"gemma.{n}": v for n, v in values.items()}
        settings = Settings(fields=fields, arrays={})
        assert gguf_families._scalar(settings, large=True) == wanted
        assert gguf_families._scalar(settings, large=False) == 128
