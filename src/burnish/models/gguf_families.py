"""Names of weights and settings in GGUF files by family, and the transformations to undo."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Fields = Mapping[str, Any]
Arrays = Mapping[str, Any]  # small tensors that are settings: frequencies

LLAMA_NAMES = {
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
SANDWICHED = {
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
JOINED = {"attn_qkv": "self_attn.qkv_proj", "ffn_up": "mlp.gate_up_proj"}
QWEN_EXPERTS = {
    "ffn_gate_inp": "mlp.gate",
    "ffn_gate_exps": "mlp.experts.{}.gate_proj",
    "ffn_up_exps": "mlp.experts.{}.up_proj",
    "ffn_down_exps": "mlp.experts.{}.down_proj",
    "ffn_gate_inp_shexp": "mlp.shared_expert_gate",
    "ffn_gate_shexp": "mlp.shared_expert.gate_proj",
    "ffn_up_shexp": "mlp.shared_expert.up_proj",
    "ffn_down_shexp": "mlp.shared_expert.down_proj",
}
MIXTRAL_EXPERTS = {
    "ffn_gate_inp": "block_sparse_moe.gate",
    "ffn_gate_exps": "block_sparse_moe.experts.{}.w1",
    "ffn_down_exps": "block_sparse_moe.experts.{}.w2",
    "ffn_up_exps": "block_sparse_moe.experts.{}.w3",
}
FREQUENCIES = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")
GEMMA2_27B_LAYERS, GEMMA3_27B_LAYERS = 46, 62  # as llama.cpp tells them apart


class UnreadableError(Exception):
    """Settings of a GGUF file that have no counterpart; the text says which."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """How a GGUF architecture becomes a model type of transformers.

    `interleaved`: rows of queries and keys alternate between the halves of a head. `offset` is
    what norms are stored more than they are. `settings` gives what the family adds to a config.
    Source: llama.cpp, `convert_hf_to_gguf.py`.
    """

    model_type: str
    names: Mapping[str, str] = field(default_factory=lambda: LLAMA_NAMES)
    interleaved: bool = False
    offset: float = 0.0
    settings: Callable[["Settings"], dict[str, Any]] = lambda settings: {}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The fields of a file, read under its architecture's prefix."""

    fields: Fields
    arrays: Arrays

    def get(self, name: str, default: Any = None) -> Any:
        """A setting, or `default` where the file does not have it."""
        return self.fields.get(f"{self.fields['general.architecture']}.{name}", default)

    @property
    def num_heads(self) -> int:
        """Query heads."""
        return self.get("attention.head_count")

    @property
    def head_dim(self) -> int:
        """Width of a head."""
        return self.get("attention.key_length", self.get("embedding_length") // self.num_heads)


def family_of(fields: Fields) -> Family | None:
    """The family of a file, or None if it is not supported. Mistral's files say `llama`."""
    kind = str(fields.get("general.architecture"))
    if kind == "llama" and fields.get("llama.expert_count"):
        return FAMILIES["mixtral"]
    return FAMILIES.get(kind) if kind != "mixtral" else None


def rope_of(settings: Settings) -> dict[str, Any]:
    """Rotary settings as transformers' configurations hold them. Raises UnreadableError."""
    theta = settings.get("rope.freq_base", 10000.0)
    kind = settings.get("rope.scaling.type", "none")
    factor = settings.get("rope.scaling.factor", 1.0)
    trained = settings.get("rope.scaling.original_context_length")
    if "rope_factors_long.weight" in settings.arrays:
        factors = {
            f"{kind}_factor": [float(x) for x in settings.arrays[f"rope_factors_{kind}.weight"]]
            for kind in ("long", "short")
        }
        trained_on = {"original_max_position_embeddings": trained}
        return {"rope_type": "longrope", "rope_theta": theta} | factors | trained_on
    if (factors := settings.arrays.get("rope_freqs.weight")) is not None:
        return _llama3(theta, [float(x) for x in factors])
    if kind == "none":
        return {"rope_type": "default", "rope_theta": theta}
    if kind == "linear":
        return {"rope_type": "linear", "rope_theta": theta, "factor": factor}
    if kind == "yarn" and trained:
        trained_on = {"original_max_position_embeddings": trained}
        return {"rope_type": "yarn", "rope_theta": theta, "factor": factor} | trained_on
    raise UnreadableError(f"scales its rotary frequencies by an unknown method ({kind})")


def _llama3(theta: float, factors: list[float]) -> dict[str, Any]:
    """Llama 3's scaling, whose settings the file holds only as the divisors they lead to.

    All of Meta's models were trained on 8192 positions with the same bounds; what those give is
    compared with the file's divisors.
    Source: llama.cpp, `LlamaModel.generate_extra_tensors`.
    Oracle: tests/models/test_gguf_families.py::test_rotary_settings_come_back
    """
    low, high, trained, factor = 1.0, 4.0, 8192, max(factors)
    for pair, found in enumerate(factors):
        wavelength = 2 * math.pi * theta ** (pair / len(factors))
        if wavelength < trained / high:
            wanted = 1.0
        elif wavelength > trained / low:
            wanted = factor
        else:
            smooth = (trained / wavelength - low) / (high - low)
            wanted = 1 / ((1 - smooth) / factor + smooth)
        if not math.isclose(wanted, found, rel_tol=1e-4):
            raise UnreadableError("scales its rotary frequencies by another method than Llama 3's")
    return {
        "rope_type": "llama3",
        "rope_theta": theta,
        "factor": factor,
        "low_freq_factor": low,
        "high_freq_factor": high,
        "original_max_position_embeddings": trained,
    }


def _gemma(settings: Settings) -> dict[str, Any]:
    return {"hidden_activation": "gelu_pytorch_tanh", "rope_parameters": rope_of(settings)}


def _gemma2(settings: Settings) -> dict[str, Any]:
    large = settings.get("block_count") == GEMMA2_27B_LAYERS
    return _gemma(settings) | {
        "sliding_window": settings.get("attention.sliding_window"),
        "attn_logit_softcapping": settings.get("attn_logit_softcapping", 50.0),
        "final_logit_softcapping": settings.get("final_logit_softcapping", 30.0),
        "query_pre_attn_scalar": _scalar(settings, large=large),
    }


def _gemma3(settings: Settings) -> dict[str, Any]:
    large = settings.get("block_count") == GEMMA3_27B_LAYERS
    local = {"rope_type": "default", "rope_theta": settings.get("rope.freq_base_swa", 10000.0)}
    return _gemma(settings) | {
        "sliding_window": settings.get("attention.sliding_window"),
        "final_logit_softcapping": settings.get("final_logit_softcapping"),
        "query_pre_attn_scalar": _scalar(settings, large=large),
        "rope_parameters": {"full_attention": rope_of(settings), "sliding_attention": local},
    }


def _scalar(settings: Settings, *, large: bool) -> int:
    """What scores are divided by, squared; the two largest models differ, and no field says so."""
    if large:
        return settings.get("embedding_length") // settings.num_heads
    return settings.head_dim


def _phi3(settings: Settings) -> dict[str, Any]:
    turned = settings.get("rope.dimension_count", settings.head_dim)
    rope = rope_of(settings) | {"partial_rotary_factor": turned / settings.head_dim}
    trained = rope.get("original_max_position_embeddings", settings.get("context_length"))
    return {
        "sliding_window": settings.get("attention.sliding_window"),
        "original_max_position_embeddings": trained,
        "rope_parameters": rope,
    }


def _mixtral(settings: Settings) -> dict[str, Any]:
    return {
        "num_local_experts": settings.get("expert_count"),
        "num_experts_per_tok": settings.get("expert_used_count"),
    }


def _qwen_experts(settings: Settings) -> dict[str, Any]:
    width = settings.get("expert_feed_forward_length")
    fields = {
        "num_experts": settings.get("expert_count"),
        "num_experts_per_tok": settings.get("expert_used_count"),
        "moe_intermediate_size": width,
    }
    if settings.fields["general.architecture"] == "qwen3moe":  # without shared experts
        return fields | {"norm_topk_prob": True}
    shared = settings.get("expert_shared_feed_forward_length", width)
    return fields | {"norm_topk_prob": False, "shared_expert_intermediate_size": shared}


FAMILIES: Mapping[str, Family] = {
    "llama": Family(model_type="llama", interleaved=True),
    "mixtral": Family(
        model_type="mixtral",
        interleaved=True,
        names=LLAMA_NAMES | MIXTRAL_EXPERTS,
        settings=_mixtral,
    ),
    "qwen2": Family(model_type="qwen2"),
    "qwen3": Family(model_type="qwen3"),
    "qwen2moe": Family(
        model_type="qwen2_moe", names=LLAMA_NAMES | QWEN_EXPERTS, settings=_qwen_experts
    ),
    "qwen3moe": Family(
        model_type="qwen3_moe", names=LLAMA_NAMES | QWEN_EXPERTS, settings=_qwen_experts
    ),
    "gemma": Family(model_type="gemma", offset=1.0, settings=_gemma),
    "gemma2": Family(
        model_type="gemma2", names=LLAMA_NAMES | SANDWICHED, offset=1.0, settings=_gemma2
    ),
    "gemma3": Family(
        model_type="gemma3_text", names=LLAMA_NAMES | SANDWICHED, offset=1.0, settings=_gemma3
    ),
    "phi3": Family(model_type="phi3", names=LLAMA_NAMES | JOINED, settings=_phi3),
}
