"""The shape of a decoder, from a configuration written out."""

from types import SimpleNamespace
from typing import Any

import pytest

from burnish.models.config import DecoderConfig, decoder_config
from burnish.models.solver_config import SolverConfig


def given(family: str = "llama", **changes: Any) -> SimpleNamespace:
    values = {
        "model_type": family, "hidden_act": "silu", "vocab_size": 101, "hidden_size": 28,
        "intermediate_size": 43, "num_hidden_layers": 3, "num_attention_heads": 7,
        "num_key_value_heads": 1, "max_position_embeddings": 97, "rms_norm_eps": 1e-5,
        "tie_word_embeddings": True, "router_jitter_noise": 0.0, "qkv_bias": True,
        "num_local_experts": 5, "num_experts_per_tok": 2, "mlp_only_layers": [1],
        "decoder_sparse_step": 1, "num_experts": 5, "moe_intermediate_size": 11,
        "norm_topk_prob": False, "shared_expert_intermediate_size": 13,
    }  # fmt: skip
    return SimpleNamespace(**values | changes)


def test_a_plain_shape_has_no_extras() -> None:
    shape = DecoderConfig(
        family="llama", vocab_size=101, d_model=28, d_ff=43, num_layers=3, num_heads=7,
        num_kv_heads=1, head_dim=4, max_position=97, norm_eps=1e-5, tied=True,
    )  # fmt: skip
    assert decoder_config(given()) == shape
    extras = (shape.qkv_bias, shape.out_bias, shape.mlp_bias, shape.qk_norm)
    assert extras == (False,) * 4
    assert (shape.experts, shape.solver, shape.windows) == (None, None, (None,) * 3)


@pytest.mark.parametrize(
    ("family", "changes", "true"),
    [
        ("qwen2", {}, {"qkv_bias"}),
        ("qwen3", {}, {"qk_norm"}),
        ("qwen3_moe", {"attention_bias": True}, {"qk_norm", "qkv_bias", "out_bias"}),
        ("qwen2_moe", {}, {"qkv_bias"}),
        ("qwen2_moe", {"qkv_bias": False}, set()),
        ("mistral", {"attention_bias": True}, {"qkv_bias"}),
        ("llama", {"attention_bias": True}, {"qkv_bias", "out_bias"}),
        ("llama", {"mlp_bias": True}, {"mlp_bias"}),
    ],
)
def test_biases_and_norms_by_family(family: str, changes: dict[str, Any], true: set[str]) -> None:
    shape = decoder_config(given(family, **changes))
    names = ("qkv_bias", "out_bias", "mlp_bias", "qk_norm")
    assert {name for name in names if getattr(shape, name)} == true


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("gpt2", {}),
        ("llama", {"hidden_act": "gelu"}),
        ("llama", {"rope_parameters": {"rope_type": "dynamic"}}),
        ("llama", {"rope_parameters": {"rope_type": "longrope"}}),
        ("llama", {"quantization_config": {"quant_method": "gptq"}}),
        ("mixtral", {"router_jitter_noise": 0.1}),
    ],
)
def test_what_is_not_computed_here_is_declined(family: str, changes: dict[str, Any]) -> None:
    assert decoder_config(given(family, **changes)) is None
    allowed = {"rope_parameters": {"rope_type": "yarn"}} if "rope_parameters" in changes else {}
    assert decoder_config(given("mixtral" if family == "mixtral" else "llama", **allowed))


def test_experts_of_the_layers_that_have_them() -> None:
    mixtral = decoder_config(given("mixtral")).experts
    assert (mixtral.layers, mixtral.normalised, mixtral.d_expert) == ((0, 1, 2), True, 43)
    assert (mixtral.num_experts, mixtral.top_k, mixtral.d_shared) == (5, 2, 0)
    qwen = decoder_config(given("qwen2_moe")).experts
    assert (qwen.layers, qwen.normalised, qwen.d_expert) == ((0, 2), False, 11)
    assert (qwen.num_experts, qwen.top_k, qwen.d_shared) == (5, 2, 13)
    every_second = given("qwen3_moe", decoder_sparse_step=2, mlp_only_layers=None)
    assert decoder_config(every_second).experts.layers == (1,)
    assert decoder_config(every_second).experts.d_shared == 0
    assert decoder_config(given("qwen3_moe", num_experts=0)).experts is None


def test_windows_of_the_places_of_the_cache() -> None:
    assert decoder_config(given("mistral", sliding_window=17)).windows == (17,) * 3
    assert decoder_config(given("llama", sliding_window=17)).windows == (None,) * 3
    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    mixed = given("qwen2", sliding_window=17, layer_types=kinds)
    assert decoder_config(mixed).windows == (17, None, 17)
    assert decoder_config(given(head_dim=6)).head_dim == 6


def test_a_solver_has_places_of_its_own() -> None:
    solver = SolverConfig(orders=(1, 2, 1))
    shape = decoder_config(given("mistral", sliding_window=17, solver=vars(solver)))
    assert shape.solver == solver
    assert shape.num_places == sum(solver.num_places) == len(shape.windows)
    assert set(shape.windows) == {17}
