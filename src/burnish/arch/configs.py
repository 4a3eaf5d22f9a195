"""Shapes with a block, as the decoder and as transformers' configurations have them."""

from dataclasses import asdict
from typing import Any

from burnish.arch.blocks import Block, blocks
from burnish.arch.blocks.dense import DenseBlock
from burnish.arch.blocks.moe import MoEBlock
from burnish.arch.blocks.pcformer import PCformerBlock
from burnish.models.config import SOLVER, DecoderConfig, ExpertsConfig
from burnish.models.solver_config import SolverConfig

DENSE = "dense"
WIDTH_STEP = 8  # of experts: rows of whole 16 bytes, in bf16 too


def shape_config(shape: Any) -> DecoderConfig:
    """The decoder's configuration for an `arch.plan.Shape`, without transformers.

    Source: ours. Oracle: tests/arch/test_network.py::test_blocks_have_their_parameters
    """
    block = blocks.parse(shape.block)
    layers = num_layers(shape, block)
    solver = block.solver(layers, beta=None) if isinstance(block, PCformerBlock) else None
    return DecoderConfig(
        family="llama",
        vocab_size=shape.vocab,
        d_model=shape.width,
        d_ff=shape.ffn_width,
        num_layers=layers,
        num_heads=shape.num_heads,
        num_kv_heads=shape.num_kv_heads,
        head_dim=shape.head_dim,
        max_position=1,
        norm_eps=1e-5,
        tied=shape.tied,
        experts=_experts(shape, block) if isinstance(block, MoEBlock) else None,
        solver=solver,
    )


def make_config(shape: Any, *, context: int, marks: Any) -> Any:
    """Transformers' configuration of a new model: a Llama, Mixtral or Qwen2-MoE folder's.

    Source: ours. Oracle: tests/arch/test_network.py::test_blocks_have_their_parameters
    """
    from transformers import LlamaConfig, MixtralConfig, Qwen2MoeConfig

    block = blocks.parse(shape.block)
    layers = num_layers(shape, block)
    given: dict[str, Any] = {
        "vocab_size": shape.vocab,
        "hidden_size": shape.width,
        "intermediate_size": shape.ffn_width,
        "num_hidden_layers": layers,
        "num_attention_heads": shape.num_heads,
        "num_key_value_heads": shape.num_kv_heads,
        "max_position_embeddings": context,
        "tie_word_embeddings": shape.tied,
        "rms_norm_eps": 1e-5,
        "bos_token_id": marks.first,
        "eos_token_id": marks.end,
        "pad_token_id": marks.end,
    }
    if isinstance(block, MoEBlock):
        experts: dict[str, Any] = {"num_experts_per_tok": block.top_k}
        width = expert_width(shape, block)
        if not block.shared:
            experts |= {"num_local_experts": block.experts, "intermediate_size": width}
            experts |= {"head_dim": shape.head_dim, "sliding_window": None}
            rope = {"rope_type": "default", "rope_theta": 10000.0}
            own: dict[str, Any] = {"rope_parameters": rope}
            named = ["MixtralForCausalLM"]
            return MixtralConfig(**given | experts | own, architectures=named)
        experts |= {"num_experts": block.experts, "moe_intermediate_size": width}
        experts |= {"shared_expert_intermediate_size": block.shared, "norm_topk_prob": True}
        experts |= {"decoder_sparse_step": 1, "qkv_bias": False}
        return Qwen2MoeConfig(**given | experts, architectures=["Qwen2MoeForCausalLM"])
    own = {"head_dim": shape.head_dim, "architectures": ["LlamaForCausalLM"]}
    if isinstance(block, PCformerBlock):
        own |= {SOLVER: solver_dict(block.solver(layers, beta=None))}
    return LlamaConfig(**given | own)


def solver_dict(solver: SolverConfig) -> dict[str, Any]:
    """A solver's settings, as a folder's `config.json` has them."""
    return asdict(solver) | {"orders": list(solver.orders)}


def keep_balance(config: Any, balance_loss: float) -> None:
    """Make transformers add the balance loss too when it trains the model of a configuration.

    Its loads sum to the experts of a token and ours to 1, so the factor is divided by their number.
    Source: transformers, `load_balancing_loss_func`; by default it adds nothing.
    Oracle: tests/arch/test_cases.py::test_balance_is_not_silently_off
    """
    config.output_router_logits = balance_loss > 0
    config.router_aux_loss_coef = balance_loss / config.num_experts_per_tok


def block_of(shape: DecoderConfig) -> str:
    """The block of a model's layers, as a spec."""
    if shape.experts is not None:
        experts = shape.experts
        found: Block = MoEBlock(
            experts=experts.num_experts, top_k=experts.top_k, shared=experts.d_shared
        )
        return blocks.spec(found)
    if shape.solver is None:
        return DENSE
    solver = asdict(shape.solver)
    orders, beta = solver.pop("orders"), solver.pop("beta")
    schedule: dict[str, Any] = {"order": orders[0]}
    if len(set(orders)) > 1:
        schedule = {"orders": "-".join(f"{order}x1" for order in orders)}
    own: dict[str, Any] = {"beta": "none" if beta is None else f"{beta:g}"}
    return blocks.spec(PCformerBlock(**schedule, **solver, **own))


def num_layers(shape: Any, block: Block) -> int:
    """Layers of a model of this shape."""
    return shape.num_layers * (block.times if isinstance(block, DenseBlock) else 1)


def expert_width(shape: Any, block: MoEBlock) -> int:
    """Width of one expert: all together are as wide as the dense feed-forward."""
    return max(1, round(shape.ffn_width / block.experts / WIDTH_STEP)) * WIDTH_STEP


def _experts(shape: Any, block: MoEBlock) -> ExpertsConfig:
    return ExpertsConfig(
        num_experts=block.experts,
        top_k=block.top_k,
        d_expert=expert_width(shape, block),
        normalised=True,
        layers=tuple(range(shape.num_layers)),
        d_shared=block.shared,
    )
