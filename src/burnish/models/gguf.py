"""Turn a GGUF file into a Hugging Face folder, once.

Loading GGUF through transformers takes 15-20 s and the result refuses to be saved; here the
tensors are dequantised once and written as safetensors under Hugging Face's names.
"""

from pathlib import Path
from typing import Any

import numpy as np

from burnish.base.errors import ModelError
from burnish.base.records import write_json
from burnish.models.gguf_families import (
    FAMILIES,
    FREQUENCIES,
    Family,
    Settings,
    UnreadableError,
    family_of,
    rope_of,
)
from burnish.models.quantise import BLOCKS_FILE
from burnish.models.weights import SINGLE, check_file, first_line

BLOCK_BITS = {"Q8_0": 8, "Q4_1": 4}  # formats of `kernels.quantised`, by GGUF's names
SHARD_BYTES = 1 << 30  # what is held in memory at once


def convert_gguf(source: Path, folder: Path) -> None:
    """Write `folder` as a Hugging Face model with the weights and tokenizer of a GGUF file.

    Weights of every quantisation are dequantised to fp32 without rounding; blocks that our kernels
    can use are kept as they are in addition. Raises ModelError
    for other architectures, cut files and parts of split ones.
    Source: ours. Oracle: tests/models/test_gguf.py::test_conversion_equals_transformers
    """
    import gguf

    check_file(source)
    try:
        reader = gguf.GGUFReader(source)
        fields = {name: field.contents() for name, field in reader.fields.items()}
        tensors = {tensor.name: tensor for tensor in reader.tensors}
    except Exception as error:  # of numpy, struct and unicode, where the file is cut
        rule = f"cannot be read ({first_line(error)})"
        raise ModelError("GGUF file", str(source), rule, remedy="Download it again") from error
    family = _family(fields, source)
    arrays = {name: tensors.pop(name).data for name in FREQUENCIES if name in tensors}
    config = _config(family, Settings(fields=fields, arrays=arrays), tensors, source)
    writer, blocks = _Shards(folder), {}
    for tensor in tensors.values():
        name = _rename(tensor.name, family, source)
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype("float32")
        heads = _interleaved_heads(name, config) if family.interleaved else None
        if tensor.name.endswith("norm.weight"):
            values = values - np.float32(family.offset)
        if heads:
            values = _unpermute(values, heads)
        for key, part in _experts(name, values):
            writer.add(key, part)
        if "{}" not in name and (bits := BLOCK_BITS.get(tensor.tensor_type.name)):
            data = np.asarray(tensor.data)
            blocks[f"{name}/{bits}"] = _unpermute(data, heads) if heads else data
    writer.close()
    if blocks:
        from safetensors.numpy import save_file

        save_file(blocks, folder / BLOCKS_FILE)
    config.save_pretrained(folder)
    _tokenizer(fields, source).save_pretrained(folder)
    _generation_config(config).save_pretrained(folder)


class _Shards:
    """Writes weights as one file, or as several and their index: few are in memory at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, Any] = {}
        self._files: list[list[str]] = []

    def add(self, name: str, values: Any) -> None:
        self._open[name] = np.ascontiguousarray(values)
        if sum(part.nbytes for part in self._open.values()) >= SHARD_BYTES:
            self._write()

    def close(self) -> None:
        if self._open:
            self._write()
        if len(self._files) == 1:
            (self._folder / self._name(0)).rename(self._folder / SINGLE[0])
            return
        places = {n: self._name(i) for i, names in enumerate(self._files) for n in names}
        index = {"metadata": {}, "weight_map": places}
        write_json(self._folder / f"{SINGLE[0]}.index.json", index)

    def _write(self) -> None:
        from safetensors.numpy import save_file

        path = self._folder / self._name(len(self._files))
        save_file(self._open, path, metadata={"format": "pt"})
        self._files.append(list(self._open))
        self._open = {}

    def _name(self, index: int) -> str:
        return f"model-{index + 1:05}.safetensors"


def _family(fields: dict[str, Any], source: Path) -> Family:
    family = family_of(fields)
    if family is None:
        known = ", ".join(FAMILIES)
        raise ModelError(
            "GGUF architecture",
            fields.get("general.architecture"),
            f"of {source.name} must be one of {known}",
            remedy="Use the model's Hugging Face folder instead",
        )
    if (parts := fields.get("split.count", 0)) > 1:
        rule = f"is one of {parts} parts"
        remedy = "Join them with `llama-gguf-split --merge`"
        raise ModelError("GGUF file", str(source), rule, remedy=remedy)
    return family


def _experts(name: str, values: Any) -> list[tuple[str, Any]]:
    """Each expert's matrix under its own name; other weights as they are."""
    if "{}" not in name:
        gate = "shared_expert_gate" in name and values.ndim == 1  # llama.cpp drops its only row
        return [(name, values[None] if gate else values)]
    return [(name.format(index), part) for index, part in enumerate(values)]


def _interleaved_heads(name: str, config: Any) -> int | None:
    """How many heads the rows of a matrix were interleaved in, if they were."""
    heads = {".q_proj.": config.num_attention_heads, ".k_proj.": config.num_key_value_heads}
    return next((num for part, num in heads.items() if part in name), None)


def _rename(name: str, family: Family, source: Path) -> str:
    parts = name.split(".")
    block = f"model.layers.{parts[1]}." if parts[0] == "blk" and len(parts) > 3 else ""
    key, suffix = (parts[2], parts[3]) if block else (parts[0], parts[-1])
    if key not in family.names:
        raise ModelError(
            "GGUF tensor", name, f"of {source.name} is not known", remedy="Use a safetensors model"
        )
    return f"{block}{family.names[key]}.{suffix}"


def _unpermute(values: Any, num_heads: int) -> Any:
    """Undo llama.cpp's interleaving of rotary pairs: its rows alternate between the two halves."""
    pairs = values.reshape(num_heads, values.shape[0] // num_heads // 2, 2, *values.shape[1:])
    return pairs.swapaxes(1, 2).reshape(values.shape).copy()


def _config(family: Family, settings: Settings, tensors: Any, source: Path) -> Any:
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CLASSES

    fields, get = settings.fields, settings.get
    tied = "output.weight" not in tensors
    names = {"bos": "bos", "eos": "eos", "pad": "padding"}
    ids = {
        f"{n}_token_id": fields.get(f"tokenizer.ggml.{key}_token_id") for n, key in names.items()
    }
    try:
        given = {
            "architectures": [CLASSES[family.model_type]],
            "vocab_size": tensors["token_embd.weight"].data.shape[0],
            "hidden_size": get("embedding_length"),
            "intermediate_size": get("feed_forward_length"),
            "num_hidden_layers": get("block_count"),
            "num_attention_heads": settings.num_heads,
            "num_key_value_heads": get("attention.head_count_kv", settings.num_heads),
            "head_dim": settings.head_dim,
            "max_position_embeddings": get("context_length"),
            "rms_norm_eps": float(f"{get('attention.layer_norm_rms_epsilon'):.6g}"),
            "rope_parameters": rope_of(settings),
            "tie_word_embeddings": tied,
            "dtype": "float32",
        }
        given |= family.settings(settings)
    except UnreadableError as error:
        remedy = "Use the model's Hugging Face folder instead"
        raise ModelError("GGUF file", str(source), str(error), remedy=remedy) from error
    except (KeyError, TypeError) as error:
        rule = f"lacks settings of its architecture ({first_line(error)})"
        raise ModelError("GGUF file", str(source), rule, remedy="Convert it again") from error
    try:
        return AutoConfig.for_model(family.model_type, **ids, **given)
    except Exception as error:  # each check of transformers has an error of its own
        said = first_line(error.__cause__ or error)
        rule = f"has settings that do not fit ({said})"
        raise ModelError("GGUF file", str(source), rule, remedy="Convert it again") from error


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
