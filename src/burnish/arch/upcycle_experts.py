"""A dense model as a mixture of experts with equal outputs under any router."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from burnish.arch.blocks.moe import MoEBlock
from burnish.arch.configs import keep_balance
from burnish.base.errors import ModelError, SettingError
from burnish.kv.rope import Rope
from burnish.kv.shared import SharedAttend, packed
from burnish.models.config import DecoderConfig, decoder_config
from burnish.models.count import count
from burnish.models.decoder import Decoder
from burnish.models.load import Model
from burnish.train.routing_settings import RoutingSettings

ROUTER_STD = 0.02
SMALLEST_SHARED = 64  # of Qwen2-MoE folders, which cannot be without a shared expert
PROBE_TOKENS = 64
KEPT = (
    *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"),
    *("num_key_value_heads", "hidden_act", "max_position_embeddings", "initializer_range"),
    *("rms_norm_eps", "rope_parameters", "attention_dropout", "pad_token_id", "bos_token_id"),
    "eos_token_id",
)


@dataclass(frozen=True, kw_only=True)
class Upcycled:
    """The new model and what became of the old one's numbers."""

    model: Model
    facts: dict[str, Any]


def upcycle(model: Model, block: MoEBlock, *, seed: int = 0) -> Upcycled:
    """Copy each feed-forward of a dense model into experts of a mixture; `model` is only unfused.

    Every expert is a copy, and the weights of a token's experts sum to 1, so logits stay what
    they were under any router, also with a bias; a shared expert begins with an output of zero.
    In fp32 on a CPU a matrix product orders its sums by its number of rows, so that SmolLM2's
    logits, up to 32, move by 5e-5; they move as much where the dense model gets its rows in parts.
    Routers are drawn from N(0, 0.02). Without a shared expert the folder is Mixtral's, or
    Qwen3-MoE's for Qwen3; with one, or with biases (Qwen2), Qwen2-MoE's.
    Raises ModelError for models that no such folder can hold.
    Source: sparse upcycling, arXiv 2212.05055, section 3; weights that sum to 1: its section 4.2.2.
    Oracle: tests/arch/test_upcycle_experts.py::test_logits_stay_under_any_router
    """
    dense = model.network
    if not isinstance(dense, Decoder) or dense.shape.experts is not None or dense.bits is not None:
        rule = "must be dense and of the Llama, Mistral, Qwen2 or Qwen3 family"
        raise ModelError("model", model.spec, rule, remedy="Name another model")
    dense.unfuse()
    config = _make_config(dense, block, model.spec)
    keep_balance(config, RoutingSettings().balance_loss)
    shape = decoder_config(config)
    assert shape is not None and shape.experts is not None
    with torch.device("meta"):
        network = Decoder(shape, config)
    source = torch.Generator().manual_seed(seed)
    state = _weights(dense, shape, source)
    network.load_state_dict(state, assign=True)
    network.tie_weights()
    network.requires_grad_(False).eval()
    made = replace(model, network=network)
    before, after = count(dense.shape), count(shape)
    facts = {
        "family": shape.family,
        "experts": block.experts,
        "top_k": block.top_k,
        "shared_width": shape.experts.d_shared,
        "num_params": after.num_params,
        "num_active_params": after.num_active_params,
        "dense_params": before.num_params,
        "flops_per_token": after.flops_per_token,
        "logit_difference": logit_difference(dense, network),
    }
    return Upcycled(model=made, facts=facts)


def _make_config(dense: Decoder, block: MoEBlock, spec: str) -> Any:
    """The configuration of the family whose folders can hold the model."""
    from transformers import AutoConfig

    shape, given = dense.shape, dense.config.to_dict()
    if shape.mlp_bias or shape.out_bias:
        rule = "has biases, which Mixtral and Qwen-MoE folders cannot store"
        raise ModelError("model", spec, rule, remedy="Name a model without them")
    settings = {name: given[name] for name in KEPT if given.get(name) is not None}
    settings |= {"tie_word_embeddings": shape.tied}
    if shape.qkv_bias or block.shared:
        if shape.qk_norm:
            rule = "cannot be combined with this model's query norms in any known format"
            raise SettingError("shared", block.shared, rule, remedy="Set shared to 0")
        return AutoConfig.for_model("qwen2_moe", **settings, **_qwen2(shape, block, spec))
    window = _one_window(shape, spec)
    settings |= {"num_experts_per_tok": block.top_k, "head_dim": shape.head_dim}
    if not shape.qk_norm:
        own = {"num_local_experts": block.experts, "intermediate_size": shape.d_ff}
        return AutoConfig.for_model("mixtral", **settings, **own, sliding_window=window)
    own = {"num_experts": block.experts, "norm_topk_prob": True, "intermediate_size": shape.d_ff}
    own |= {"moe_intermediate_size": shape.d_ff, "decoder_sparse_step": 1}
    sliding = {"use_sliding_window": window is not None, "sliding_window": window}
    return AutoConfig.for_model("qwen3_moe", **settings, **own, **sliding)


def _qwen2(shape: DecoderConfig, block: MoEBlock, spec: str) -> dict[str, Any]:
    if shape.head_dim * shape.num_heads != shape.d_model:
        rule = "must be width / heads in a Qwen2-MoE folder"
        remedy = "Set shared to 0, or name another model"
        raise ModelError(f"head width of {spec}", shape.head_dim, rule, remedy=remedy)
    widths = {window for window in shape.windows if window is not None}
    if len(widths) > 1:
        raise _windows_differ(spec, widths)
    return {
        "num_experts": block.experts,
        "num_experts_per_tok": block.top_k,
        "intermediate_size": shape.d_ff,
        "moe_intermediate_size": shape.d_ff,
        "shared_expert_intermediate_size": block.shared or SMALLEST_SHARED,
        "norm_topk_prob": True,
        "decoder_sparse_step": 1,
        "qkv_bias": shape.qkv_bias,
        "use_sliding_window": bool(widths),
        "sliding_window": next(iter(widths), None),
        "layer_types": [
            "full_attention" if window is None else "sliding_attention" for window in shape.windows
        ],
    }


def _one_window(shape: DecoderConfig, spec: str) -> int | None:
    if len(set(shape.windows)) > 1:
        raise _windows_differ(spec, set(shape.windows))
    return shape.windows[0]


def _windows_differ(spec: str, windows: Collection[int | None]) -> ModelError:
    rule = "must be the same in all layers of a Mixtral or Qwen3-MoE folder"
    found = sorted(str(window) for window in windows)
    return ModelError(f"sliding window of {spec}", found, rule, remedy="Name another model")


def _weights(dense: Decoder, shape: DecoderConfig, source: torch.Generator) -> dict[str, Tensor]:
    """The weights, with each feed-forward copied to all experts."""
    experts, old = shape.experts, dense.state_dict()
    assert experts is not None
    like = old["model.embed_tokens.weight"]

    def drawn(*size: int) -> Tensor:
        return (torch.randn(size, generator=source) * ROUTER_STD).to(like.device, like.dtype)

    state = {name: value.clone() for name, value in old.items() if ".mlp." not in name}
    for layer in experts.layers:
        prefix = f"model.layers.{layer}.mlp"
        parts = [old[f"{prefix}.{part}_proj.weight"] for part in ("gate", "up", "down")]
        stacked = (experts.num_experts, 1, 1)
        state[f"{prefix}.gate.weight"] = drawn(experts.num_experts, shape.d_model)
        state[f"{prefix}.experts.gate_up_proj"] = torch.cat(parts[:2]).repeat(stacked)
        state[f"{prefix}.experts.down_proj"] = parts[2].repeat(stacked)
        if experts.d_shared:
            width, shared = experts.d_shared, f"{prefix}.shared_expert"
            state[f"{shared}.gate_proj.weight"] = drawn(width, shape.d_model)
            state[f"{shared}.up_proj.weight"] = drawn(width, shape.d_model)
            state[f"{shared}.down_proj.weight"] = torch.zeros_like(drawn(shape.d_model, width))
            state[f"{shared}_gate.weight"] = drawn(1, shape.d_model)
    return state


@torch.no_grad()
def logit_difference(dense: Decoder, sparse: Decoder) -> float:
    """The largest difference of their logits on random tokens."""
    source = torch.Generator().manual_seed(0)
    tokens = torch.randint(dense.shape.vocab_size, (PROBE_TOKENS,), generator=source)
    tokens = tokens.to(dense.lm_head.weight.device)
    found = []
    for network in (dense, sparse):
        attend = SharedAttend(packed([PROBE_TOKENS]), Rope(network.config), network.shape.windows)
        found.append(network.head(network.hidden(tokens, attend)).float())
    return float((found[0] - found[1]).abs().max())
