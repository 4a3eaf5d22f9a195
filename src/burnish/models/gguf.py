"""Turn a GGUF file into a Hugging Face folder, once.

Loading GGUF through transformers takes 15-20 s and the result refuses to be saved; here the
tensors are dequantised once and written as safetensors under Hugging Face's names.
"""

from pathlib import Path
from typing import Any

import numpy as np

from burnish.base.errors import ModelError
from burnish.models.quantise import BLOCKS_FILE

BLOCK_BITS = {"Q8_0": 8, "Q4_1": 4}  # formats of `kernels.quantised`, by GGUF's names
ARCHITECTURES = ("llama", "qwen2", "qwen3")  # Mistral's GGUF files say `llama`

_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def convert_gguf(source: Path, folder: Path) -> None:
    """Write `folder` as a Hugging Face model with the weights and tokenizer of a GGUF file.

    Weights are dequantised to fp32, so nothing that the file holds is rounded away; blocks that
    our kernels multiply with are kept beside them as they are. Raises ModelError for
    architectures that `decoder.py` does not claim.
    Source: ours. Oracle: tests/models/test_gguf.py::test_conversion_equals_transformers
    """
    import gguf
    from safetensors.numpy import save_file

    try:
        reader = gguf.GGUFReader(source)
    except (ValueError, OSError) as error:
        raise ModelError(
            "GGUF file", str(source), f"cannot be read ({error})", remedy="Download it again"
        ) from error
    fields = {name: field.contents() for name, field in reader.fields.items()}
    config = _config(fields, {tensor.name for tensor in reader.tensors}, source)
    tensors, blocks = {}, {}
    for tensor in reader.tensors:
        name = _rename(tensor.name, source)
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype("float32")
        heads = _interleaved_heads(name, fields["general.architecture"], config)
        tensors[name] = _unpermute(values, heads) if heads else values
        if bits := BLOCK_BITS.get(tensor.tensor_type.name):
            data = np.asarray(tensor.data)
            blocks[f"{name}/{bits}"] = _unpermute(data, heads) if heads else data
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    if blocks:
        save_file(blocks, folder / BLOCKS_FILE)
    config.save_pretrained(folder)
    _tokenizer(fields, source).save_pretrained(folder)
    _generation_config(config).save_pretrained(folder)


def _interleaved_heads(name: str, architecture: str, config: Any) -> int | None:
    """How many heads the rows of a matrix were interleaved in, if they were."""
    heads = {
        ".q_proj.weight": config.num_attention_heads,
        ".k_proj.weight": config.num_key_value_heads,
    }
    found = (num for suffix, num in heads.items() if name.endswith(suffix))
    return next(found, None) if architecture == "llama" else None


def _rename(name: str, source: Path) -> str:
    parts = name.split(".")
    block = f"model.layers.{parts[1]}." if parts[0] == "blk" else ""
    key, suffix = (parts[2], parts[3]) if block else (parts[0], parts[1])
    if key not in _NAMES:
        raise ModelError(
            "GGUF tensor", name, f"of {source.name} is not known", remedy="Use a safetensors model"
        )
    return f"{block}{_NAMES[key]}.{suffix}"


def _unpermute(values: Any, num_heads: int) -> Any:
    """Undo llama.cpp's interleaving of rotary pairs: its rows alternate between the two halves."""
    pairs = values.reshape(num_heads, values.shape[0] // num_heads // 2, 2, *values.shape[1:])
    return pairs.swapaxes(1, 2).reshape(values.shape).copy()


def _config(fields: dict[str, Any], names: set[str], source: Path) -> Any:
    from transformers import AutoConfig

    kind = fields.get("general.architecture")
    if kind not in ARCHITECTURES:
        raise ModelError(
            "GGUF architecture",
            kind,
            f"must be one of {', '.join(ARCHITECTURES)}",
            remedy="Use the model's Hugging Face folder instead",
        )
    scaling = fields.get(f"{kind}.rope.scaling.type", "none")
    if "rope_freqs.weight" in names or scaling != "none":
        raise ModelError(
            "GGUF file",
            source.name,
            "must not scale its rotary frequencies",
            remedy="Use the model's Hugging Face folder instead",
        )
    num_heads = fields[f"{kind}.attention.head_count"]
    width = fields[f"{kind}.embedding_length"]
    return AutoConfig.for_model(
        kind,
        architectures=[f"{kind.capitalize()}ForCausalLM"],
        vocab_size=len(fields["tokenizer.ggml.tokens"]),
        hidden_size=width,
        intermediate_size=fields[f"{kind}.feed_forward_length"],
        num_hidden_layers=fields[f"{kind}.block_count"],
        num_attention_heads=num_heads,
        num_key_value_heads=fields.get(f"{kind}.attention.head_count_kv", num_heads),
        head_dim=fields.get(f"{kind}.attention.key_length", width // num_heads),
        max_position_embeddings=fields[f"{kind}.context_length"],
        rms_norm_eps=round(fields[f"{kind}.attention.layer_norm_rms_epsilon"], 9),
        rope_parameters={
            "rope_type": "default",
            "rope_theta": fields.get(f"{kind}.rope.freq_base", 10000.0),
        },
        tie_word_embeddings="output.weight" not in names,
        bos_token_id=fields.get("tokenizer.ggml.bos_token_id"),
        eos_token_id=fields.get("tokenizer.ggml.eos_token_id"),
        pad_token_id=fields.get("tokenizer.ggml.padding_token_id"),
        dtype="float32",
    )


def _generation_config(config: Any) -> Any:
    from transformers import GenerationConfig

    names = ("bos_token_id", "eos_token_id", "pad_token_id")
    return GenerationConfig(**{name: getattr(config, name) for name in names})


def _tokenizer(fields: dict[str, Any], source: Path) -> Any:
    pre = fields.get("tokenizer.ggml.pre", "default")
    if fields["tokenizer.ggml.model"] == "gpt2" and pre in ("smollm", "gpt-2"):
        return _byte_level_tokenizer(fields, digits=pre == "smollm")
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)


def _byte_level_tokenizer(fields: dict[str, Any], *, digits: bool) -> Any:
    """SmolLM's tokenizer: transformers' rebuild forgets that digits are split one by one."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens = fields["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    split = [pre_tokenizers.Digits(individual_digits=True), level] if digits else [level]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(split)
    tokenizer.decoder = decoders.ByteLevel()
    control = 3  # GGUF's token type for special tokens
    kinds = fields["tokenizer.ggml.token_type"]
    special = [t for t, kind in zip(tokens, kinds, strict=True) if kind == control]
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in special])
    roles = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
    named = {
        f"{role}_token": tokens[fields[f"tokenizer.ggml.{key}_token_id"]]
        for role, key in roles.items()
        if f"tokenizer.ggml.{key}_token_id" in fields
    }
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        clean_up_tokenization_spaces=False,
        chat_template=fields.get("tokenizer.chat_template"),
        model_max_length=fields[f"{fields['general.architecture']}.context_length"],
        **named,
    )
