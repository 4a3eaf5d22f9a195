"""The shape of a decoder, read from a Hugging Face configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from burnish.models.solver_config import SolverConfig

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")  # SmolLM and SmolLM2 are `llama`
SOLVER = "solver"  # entry of a configuration, see `solver_config`
EXPERT_FAMILIES = ("mixtral", "qwen2_moe", "qwen3_moe")


@dataclass(frozen=True, kw_only=True)
class ExpertsConfig:
    """The mixture of experts of the `layers` that have one.

    `normalised`: the weights of a token's experts sum to 1. `d_shared` is the width of a shared
    expert, which every token passes and a sigmoid gate scales; 0: none.
    Source: ours; field meanings as in transformers' configurations.
    """

    num_experts: int
    top_k: int
    d_expert: int
    normalised: bool
    layers: tuple[int, ...]
    d_shared: int = 0


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """The shape of a `Decoder`; lengths count units, not bytes.

    `windows[i]` is the sliding window in tokens of place i of the cache, None for full attention;
    a layer has one place, or with a `solver` one for each evaluation. `d_ff` is the inner width of
    the layers without experts.
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
    experts: ExpertsConfig | None = None
    solver: SolverConfig | None = None

    def __post_init__(self) -> None:
        if not self.windows:
            object.__setattr__(self, "windows", (None,) * self.num_places)

    @property
    def num_places(self) -> int:
        """Keys and values of a token: one a layer, or one an evaluation."""
        return self.num_layers if self.solver is None else sum(self.solver.num_places)


def decoder_config(config: Any) -> DecoderConfig | None:
    """The decoder's shape for a transformers configuration, or None if it is not supported.

    Declines rather than approximates: other activations and position schemes whose frequencies
    depend on the length (`dynamic`, `longrope`) go to the adapter.
    Source: ours. Oracle: tests/models/test_decoder.py::test_logits_equal_transformers
    """
    family = config.model_type
    if family not in (*FAMILIES, *EXPERT_FAMILIES) or config.hidden_act != "silu":
        return None
    if family == "mixtral" and config.router_jitter_noise:
        return None
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type", "default") not in ("default", "linear", "llama3", "yarn"):
        return None
    if getattr(config, "quantization_config", None):
        return None
    bias = bool(getattr(config, "attention_bias", False))
    solver = read_solver(getattr(config, SOLVER, None))
    return DecoderConfig(
        family=family,
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
        qkv_bias=family == "qwen2" or bias or (family == "qwen2_moe" and config.qkv_bias),
        out_bias=bias and family in ("llama", "qwen3", "qwen3_moe"),
        mlp_bias=bool(getattr(config, "mlp_bias", False)),
        qk_norm=family in ("qwen3", "qwen3_moe"),
        windows=_windows(config, solver),
        experts=_experts(config) if family in EXPERT_FAMILIES else None,
        solver=solver,
    )


def _experts(config: Any) -> ExpertsConfig | None:
    """The mixture of experts; None where no layer has one."""
    if config.model_type == "mixtral":
        return ExpertsConfig(
            num_experts=config.num_local_experts,
            top_k=config.num_experts_per_tok,
            d_expert=config.intermediate_size,
            normalised=True,
            layers=tuple(range(config.num_hidden_layers)),
        )
    apart, every = config.mlp_only_layers or (), config.decoder_sparse_step
    if not config.num_experts:
        return None
    layers = range(every - 1, config.num_hidden_layers, every)
    return ExpertsConfig(
        num_experts=config.num_experts,
        top_k=config.num_experts_per_tok,
        d_expert=config.moe_intermediate_size,
        normalised=config.norm_topk_prob,
        layers=tuple(layer for layer in layers if layer not in apart),
        d_shared=config.shared_expert_intermediate_size if config.model_type == "qwen2_moe" else 0,
    )


def read_solver(given: Mapping[str, Any] | None) -> SolverConfig | None:
    """The solver of a configuration, from its JSON; None for ordinary layers."""
    return None if given is None else SolverConfig(**{**given, "orders": tuple(given["orders"])})


def _windows(config: Any, solver: SolverConfig | None) -> tuple[int | None, ...]:
    """The window of each place of the cache."""
    windows = _layer_windows(config)
    if solver is None:
        return windows
    pairs = zip(windows, solver.num_places, strict=True)
    return tuple(window for window, num in pairs for _ in range(num))


def _layer_windows(config: Any) -> tuple[int | None, ...]:
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    if kinds:
        return tuple(window if kind == "sliding_attention" else None for kind in kinds)
    everywhere = config.model_type in ("mistral", "mixtral", "qwen3_moe")
    return (window if everywhere else None,) * config.num_hidden_layers
