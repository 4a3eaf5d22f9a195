"""Conversion of GGUF files, against transformers' reader and against the weights put in."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixtures.tiny import make_tokenizer, packed_logits, reference_logits, texts

from burnish.base.errors import ModelError
from burnish.models import gguf as gguf_module
from burnish.models import quantise
from burnish.models.gguf import convert_gguf
from burnish.models.load import load_model

SCALED = r"^GGUF file scales its rotary frequencies.*, got '[^']+\.gguf'"
NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def gguf_name(name: str) -> str:
    parts = name.removeprefix("model.layers.").split(".")
    if name.startswith("model.layers."):
        return f"blk.{parts[0]}.{NAMES['.'.join(parts[1:-1])]}.{parts[-1]}"
    return f"{NAMES['.'.join(name.split('.')[:-1])]}.{parts[-1]}"


def interleaved(values: np.ndarray, num_heads: int) -> np.ndarray:
    """As llama.cpp's `convert_hf_to_gguf.py` lays out Llama's queries and keys."""
    halves = values.reshape(num_heads, 2, len(values) // num_heads // 2, *values.shape[1:])
    return halves.swapaxes(1, 2).reshape(values.shape)


def write_gguf(model: Any, path: Path, *, quant: str = "F32", extra: Any = None) -> Path:
    """Write a transformers model the way that llama.cpp's converter does."""
    import gguf

    config = model.config
    writer = gguf.GGUFWriter(path, config.model_type)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    head_dim = getattr(config, "head_dim", None)
    if head_dim:
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    _write_tokenizer(writer)
    if extra:
        extra(writer)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        values = tensor.numpy().copy()
        if config.model_type == "llama" and ".q_proj." in name:
            values = interleaved(values, config.num_attention_heads)
        elif config.model_type == "llama" and ".k_proj." in name:
            values = interleaved(values, config.num_key_value_heads)
        kind = gguf.GGMLQuantizationType[quant if values.ndim == 2 else "F32"]
        data = gguf.quants.quantize(values, kind)
        writer.add_tensor(gguf_name(name), data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_tokenizer(writer: Any) -> None:
    import json

    tokenizer = make_tokenizer()
    made = json.loads(tokenizer.backend_tokenizer.to_str())
    tokens = [tokenizer.convert_ids_to_tokens(index) for index in range(len(tokenizer))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if index < 3 else 1 for index in range(len(tokens))])
    writer.add_token_merges([" ".join(pair) for pair in made["model"]["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    writer.add_chat_template(tokenizer.chat_template)


def random_model(kind: str, **settings: Any) -> Any:
    """A model that transformers' reader accepts: heads of its own width, rows of whole blocks."""
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(5)
    config = AutoConfig.for_model(
        kind, vocab_size=269, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, initializer_range=0.3, **settings,
    )  # fmt: skip
    return AutoModelForCausalLM.from_config(config).eval()


def convert(source: Path, folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    folder.mkdir()
    convert_gguf(source, folder)
    return load_file(folder / "model.safetensors")


def check_conversion(model: Any, place: Path, *, quant: str) -> None:
    """Every weight equals what transformers reads from the same file, bit for bit."""
    from transformers import AutoModelForCausalLM

    source = write_gguf(model, place / "model.gguf", quant=quant)
    found = convert(source, place / "converted")
    peer = AutoModelForCausalLM.from_pretrained(
        place, gguf_file=source.name, dtype=torch.float32
    ).state_dict()
    for name, tensor in found.items():
        assert torch.equal(tensor, peer[name]), name
    missing = peer.keys() - found.keys()
    assert missing <= {"lm_head.weight"}
    if quant == "F32":
        for name, tensor in found.items():
            assert torch.equal(tensor, model.state_dict()[name]), name


@pytest.mark.parametrize(
    ("kind", "settings", "quant"),
    [
        ("llama", {"tie_word_embeddings": True}, "F32"),
        ("llama", {"tie_word_embeddings": False}, "Q4_1"),
        ("llama", {"tie_word_embeddings": False}, "Q8_0"),
        ("qwen2", {"tie_word_embeddings": True}, "Q8_0"),
        ("qwen3", {"tie_word_embeddings": False, "head_dim": 128}, "Q8_0"),
    ],
)
def test_conversion_equals_transformers(
    kind: str, settings: dict[str, Any], quant: str, tmp_path: Path
) -> None:
    check_conversion(random_model(kind, **settings), tmp_path, quant=quant)


@pytest.mark.parametrize(("quant", "bits"), [("Q4_1", 4), ("Q8_0", 8), ("F32", None)])
def test_blocks_that_the_kernels_use_are_kept(quant: str, bits: int | None, tmp_path: Path) -> None:
    """The file's own blocks, their rows in the order of the weights, under name and bits."""
    import gguf
    from safetensors.numpy import load_file

    source = write_gguf(random_model("llama"), tmp_path / "model.gguf", quant=quant)
    weights = convert(source, tmp_path / "converted")
    path = tmp_path / "converted" / quantise.BLOCKS_FILE
    assert path.exists() == (bits is not None)
    if bits is None:
        return
    blocks = load_file(path)
    assert blocks.keys() == {f"{name}/{bits}" for name, one in weights.items() if one.ndim == 2}
    for key, data in blocks.items():
        values = gguf.quants.dequantize(data, gguf.GGMLQuantizationType[quant])
        assert np.array_equal(values, weights[key.partition("/")[0]].numpy()), key


def test_planted_heads_left_interleaved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_module, "_unpermute", lambda values, num_heads: values)
    with pytest.raises(AssertionError):
        check_conversion(random_model("llama"), tmp_path, quant="F32")


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_converted_model_has_the_logits(
    family: str, tiny_reference: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BURNISH_CACHE", str(tmp_path / "cache"))
    reference = tiny_reference(family)
    source = write_gguf(reference, tmp_path / "m.gguf")
    model = load_model(str(source), precision="fp32")
    assert model.folder.is_relative_to(tmp_path / "cache")
    assert model.eos_ids == {2}
    (tokens,) = texts([12])
    (found,) = packed_logits(model.network, [tokens])
    torch.testing.assert_close(found, reference_logits(reference, tokens), atol=1e-5, rtol=1e-5)


def test_tokenizer_is_rebuilt(tiny_reference: Any, tiny_tokenizer: Any, tmp_path: Path) -> None:
    """Texts, special tokens and template as the original; digits one by one, as SmolLM's."""
    from transformers import AutoTokenizer

    convert(write_gguf(tiny_reference("llama"), tmp_path / "m.gguf"), tmp_path / "out")
    found = AutoTokenizer.from_pretrained(tmp_path / "out")
    for text in ("the abc in\n\n the =", "naïve 中文 🙂", "<|im_start|>user\nhi<|im_end|>"):
        assert found.encode(text) == tiny_tokenizer.encode(text)
        assert found.decode(found.encode(text)) == text
    assert tiny_tokenizer.tokenize("12") == ["12"]
    assert found.tokenize("12") == ["1", "2"]
    chat = [{"role": "user", "content": "hi"}]
    assert found.apply_chat_template(chat, tokenize=False) == tiny_tokenizer.apply_chat_template(
        chat, tokenize=False
    )
    assert (found.eos_token_id, found.pad_token_id) == (2, 0)


def test_files_that_would_be_misread_are_refused(tiny_reference: Any, tmp_path: Path) -> None:
    reference = tiny_reference("llama")
    scaled = write_gguf(
        reference, tmp_path / "scaled.gguf",
        extra=lambda writer: writer.add_string("llama.rope.scaling.type", "odd"),
    )  # fmt: skip
    with pytest.raises(ModelError, match=SCALED):
        convert(scaled, tmp_path / "a")
    freqs = write_gguf(
        reference, tmp_path / "freqs.gguf",
        extra=lambda writer: writer.add_tensor("rope_freqs.weight", np.array([1, 3, 7], "float32")),
    )  # fmt: skip
    with pytest.raises(ModelError, match=SCALED):
        convert(freqs, tmp_path / "b")
    odd = write_gguf(
        reference, tmp_path / "odd.gguf",
        extra=lambda writer: writer.add_tensor("blk.0.attn_odd.weight", np.ones(3, "float32")),
    )  # fmt: skip
    with pytest.raises(ModelError, match=r"^GGUF tensor of odd\.gguf is not known, got 'blk"):
        convert(odd, tmp_path / "c")
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGML" * 100)
    with pytest.raises(ModelError, match=r"^GGUF file cannot be read.*, got '[^']+broken\.gguf'"):
        convert(broken, tmp_path / "d")


def test_other_architectures_are_refused(tiny_reference: Any, tmp_path: Path) -> None:
    import gguf

    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "bert")
    writer.add_tensor("token_embd.weight", np.ones((2, 2), "float32"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    says = r"^GGUF architecture of m\.gguf must be one of llama, .*phi3, got 'bert'"
    with pytest.raises(ModelError, match=says):
        convert(tmp_path / "m.gguf", tmp_path / "out")


def test_settings_that_transformers_refuses_are_one_line(
    tiny_reference: Any, tmp_path: Path
) -> None:
    file = write_gguf(tiny_reference("llama"), tmp_path / "m.gguf")
    content = file.read_bytes()
    key = b"llama.embedding_length"
    at = content.index(key) + len(key) + 4  # behind the type
    file.write_bytes(content[:at] + (29).to_bytes(4, "little") + content[at + 4 :])
    says = r"^GGUF file has settings that do not fit .*multiple"
    with pytest.raises(ModelError, match=says) as told:
        convert(file, tmp_path / "a")
    assert "\n" not in str(told.value) and len(str(told.value)) <= 400
