"""The shape of a decoder, read from a Hugging Face configuration."""

from dataclasses import dataclass
from typing import Any

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")  # SmolLM and SmolLM2 are `llama`


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """Everything that `Decoder` needs to know; lengths are counts of units, not bytes.

    `windows[l]` is the sliding window of layer l in tokens, None for full attention.
    Source: ours; field meanings as in transformers' configurations.
    """

    family: str
    vocab_size: int
    d_model: int
    d_ff: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    max_position: int
    norm_eps: float
    tied: bool
    qkv_bias: bool = False
    out_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False
    windows: tuple[int | None, ...] = ()

    def __post_init__(self) -> None:
        if not self.windows:
            object.__setattr__(self, "windows", (None,) * self.num_layers)


def decoder_config(config: Any) -> DecoderConfig | None:
    """The decoder's shape for a transformers configuration, or None where we do not claim it.

    Declines rather than approximates: other activations and position schemes whose frequencies
    depend on the length (`dynamic`, `longrope`) go to the adapter.
    Source: ours. Oracle: tests/models/test_decoder.py::test_logits_equal_transformers
    """
    if config.model_type not in FAMILIES or config.hidden_act != "silu":
        return None
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type", "default") not in ("default", "linear", "llama3", "yarn"):
        return None
    if getattr(config, "quantization_config", None):
        return None
    bias = bool(getattr(config, "attention_bias", False))
    return DecoderConfig(
        family=config.model_type,
        vocab_size=config.vocab_size,
        d_model=config.hidden_size,
        d_ff=config.intermediate_size,
        num_layers=config.num_hidden_layers,
        num_heads=config.num_attention_heads,
        num_kv_heads=config.num_key_value_heads,
        head_dim=getattr(config, "head_dim", None)
        or config.hidden_size // config.num_attention_heads,
        max_position=config.max_position_embeddings,
        norm_eps=config.rms_norm_eps,
        tied=bool(config.tie_word_embeddings),
        qkv_bias=config.model_type == "qwen2" or bias,
        out_bias=bias and config.model_type in ("llama", "qwen3"),
        mlp_bias=bool(getattr(config, "mlp_bias", False)),
        qk_norm=config.model_type == "qwen3",
        windows=_windows(config),
    )


def _windows(config: Any) -> tuple[int | None, ...]:
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    if kinds:
        return tuple(window if kind == "sliding_attention" else None for kind in kinds)
    return (window if config.model_type == "mistral" else None,) * config.num_hidden_layers
