"""Counts against the networks themselves and torch's own counter of operations."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from fixtures.tiny import DECODERS, EXPERTS, packed_logits

from burnish.kv.dense import DenseCache
from burnish.models import count as count_module
from burnish.models.config import DecoderConfig, decoder_config
from burnish.models.count import Count, count
from burnish.models.decoder import Decoder
from burnish.models.solver_config import SolverConfig

NUM_TOKENS = 11
Counter = Callable[[DecoderConfig], Count]


def check_params(count_of: Counter, reference: Any) -> None:
    """All parameters of transformers' model, a tied one once."""
    shape = decoder_config(reference.config)
    assert shape is not None
    found = count_of(shape)
    assert found.num_params == sum(p.numel() for p in reference.parameters())
    idle = sum(
        p.numel() // shape.experts.num_experts * (shape.experts.num_experts - shape.experts.top_k)
        for name, p in reference.named_parameters()
        if shape.experts is not None and ".experts." in name
    )
    assert found.num_active_params == found.num_params - idle
    assert found.num_embedding_params == reference.get_input_embeddings().weight.numel()


def check_flops(count_of: Counter, reference: Any) -> None:
    """Operations that torch sees in a forward pass of one text."""
    from torch.utils.flop_counter import FlopCounterMode

    shape = decoder_config(reference.config)
    assert shape is not None
    found = count_of(shape)
    with FlopCounterMode(display=False) as seen, torch.no_grad():
        reference(input_ids=torch.arange(3, 3 + NUM_TOKENS)[None], use_cache=False)
    attention = NUM_TOKENS * NUM_TOKENS * found.attention_flops_per_token_per_context
    assert seen.get_total_flops() == NUM_TOKENS * found.flops_per_token + attention


@pytest.mark.parametrize("family", [*DECODERS, *EXPERTS])
def test_params_equal_numel(family: str, tiny_reference: Any) -> None:
    check_params(count, tiny_reference(family))


@pytest.fixture
def eager(tiny_folder: Any) -> Callable[[str], Any]:
    """Transformers' model with attention as matrix products, which torch's counter counts whole."""
    from transformers import AutoModelForCausalLM

    return lambda family: AutoModelForCausalLM.from_pretrained(
        tiny_folder(family), attn_implementation="eager", experts_implementation="eager"
    )


@pytest.mark.parametrize("family", [*DECODERS, *EXPERTS])
def test_flops_equal(family: str, eager: Any) -> None:
    model = eager(family)
    rotary = model.model.rotary_emb  # its outer product of angles is no product with a weight
    rope = rotary(torch.zeros(1, NUM_TOKENS, 1), torch.arange(NUM_TOKENS)[None])
    model.model.rotary_emb.forward = lambda *_, **__: rope
    check_flops(count, model)


def test_planted_head_not_counted_when_tied(eager: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def tied_for_free(shape: DecoderConfig) -> Count:
        found = count(shape)
        fields = vars(found) | {
            "flops_per_token": found.flops_per_token - 2 * found.num_embedding_params
        }
        return Count(**fields)

    with pytest.raises(AssertionError):
        check_flops(tied_for_free, eager("llama"))


def test_planted_tied_embedding_counted_twice(tiny_reference: Any) -> None:
    def twice(shape: DecoderConfig) -> Count:
        untied = DecoderConfig(**{**vars(shape), "tied": False})
        return count_module.count(untied)

    with pytest.raises(AssertionError):
        check_params(twice, tiny_reference("llama"))


SOLVERS = {
    "two evaluations": {},
    "orders by layer": {"orders": (1, 3, 2), "gamma_scope": "layer"},
    "a corrector over steps": {"corrector": "ema", "history": 3, "beta": 0.5},
    "keys of the first stage": {"shared_kv": True},
    "no corrector": {"corrector": "none", "gamma_scope": "channel"},
    "a norm of each stage": {"function": "rknorm"},
    "a mix of layers": {"corrector": "mix"},
}


def solved(tiny_model: Any, changes: dict[str, Any]) -> Decoder:
    """A tiny decoder with a solver and random weights."""
    torch.manual_seed(2)
    plain = tiny_model("llama").network
    orders = (2,) * plain.shape.num_layers
    solver = SolverConfig(**{"orders": orders, **changes})
    windows = (None,) * sum(solver.num_places)
    return Decoder(replace(plain.shape, solver=solver, windows=windows), plain.config)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_solver_is_counted_as_it_runs(name: str, tiny_model: Any) -> None:
    """Parameters of the network, operations that torch sees, and what a cache holds."""
    from torch.utils.flop_counter import FlopCounterMode

    network = solved(tiny_model, SOLVERS[name])
    shape, found = network.shape, count(network.shape)
    assert found.num_params == sum(p.numel() for p in network.parameters())
    assert found.num_active_params == found.num_params
    with FlopCounterMode(display=False) as seen:
        packed_logits(network, [list(range(3, 3 + NUM_TOKENS))])
    mixes = 0
    if name == "a mix of layers":  # sums over layers of two streams, which torch does not count
        mixes = 4 * shape.d_model * sum(layer + 2 for layer in range(shape.num_layers))
    attention = 4 * shape.num_heads * shape.head_dim
    solver = shape.solver
    assert solver is not None
    each = [solver.num_evaluations(layer) for layer in range(shape.num_layers)]
    assert seen.get_total_flops() == NUM_TOKENS * (found.flops_per_token - mixes)
    assert found.attention_flops_per_token_per_context == attention * sum(each)
    assert found.evaluations_per_layer == (each[0] if len(set(each)) == 1 else tuple(each))
    cache = DenseCache(
        num_layers=shape.num_places, num_kv_heads=shape.num_kv_heads, head_dim=shape.head_dim,
        num_slots=1, capacity_tokens=16, dtype=torch.float32,
    )  # fmt: skip
    assert cache.num_bytes == 16 * found.kv_bytes_per_token(4)


def test_a_shape_for_laws_is_dense_unless_it_says_otherwise() -> None:
    shape = layer_shape_of_nothing()
    assert (shape.num_sparse_layers, shape.num_experts, shape.top_k) == (0, 1, 1)
    assert (shape.expert_ff, shape.shared_ff, shape.vocab_size, shape.seq_tokens) == (0, 0, 0, 0)


def test_products_of_a_shape_by_hand() -> None:
    given = {"d_model": 5, "num_layers": 3, "d_ff": 11, "num_heads": 4, "num_kv_heads": 2}
    shape = count_module.LayerShape(**given, head_dim=7, gated=False)
    assert shape.attention_params == 3 * 5 * 7 * (4 + 2 + 2 + 4)
    assert shape.mlp_params(1) == 2 * 5 * 3 * 11
    assert replace(shape, gated=True).mlp_params(1) == 3 * 5 * 3 * 11
    sparse = replace(shape, num_dense_layers=1, expert_ff=13, shared_ff=2)
    assert sparse.mlp_params(4) == 2 * 5 * (11 + 2 * (4 * 13 + 2))


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_kv_bytes_equal_the_cache(family: str, tiny_model: Any) -> None:
    shape = tiny_model(family).network.shape
    cache = DenseCache(
        num_layers=shape.num_layers, num_kv_heads=shape.num_kv_heads, head_dim=shape.head_dim,
        num_slots=3, capacity_tokens=32, dtype=torch.bfloat16,
    )  # fmt: skip
    found = count(shape)
    assert cache.num_bytes == 3 * 32 * found.kv_bytes_per_token(2)
    assert found.to_dict()["kv_bytes_per_token_fp32"] == 2 * found.kv_bytes_per_token(2)


@pytest.mark.weights
def test_smollm2_count(smollm2: Any) -> None:
    assert count(smollm2.network.shape).num_params == 134_515_008


def layer_shape(row: dict[str, str], seq_tokens: int) -> count_module.LayerShape:
    """A row of Step Law's tables as a shape."""
    heads, experts = int(row["numh"]), int(row.get("nume") or 1)
    sparse = experts > 1
    return count_module.LayerShape(
        d_model=int(row["h"]), num_layers=int(row["numl"]), d_ff=int(row["ffnh"]),
        num_heads=heads, num_kv_heads=heads, head_dim=int(row["h"]) // heads,
        seq_tokens=seq_tokens, num_dense_layers=int(row["numld"]) if sparse else None,
        num_experts=experts, top_k=int(row.get("topk") or 1),
        expert_ff=int(row.get("moeh") or 0), shared_ff=int(row.get("sed") or 0),
    )  # fmt: skip


def test_every_row_of_step_law() -> None:
    """N, active N and FLOPs per token of 708 MoE and 1,911 dense runs, as integers."""
    import csv
    from pathlib import Path

    folder = Path(__file__).resolve().parents[3] / "shared" / "data" / "scaling" / "steplaw"
    if not folder.is_dir():
        pytest.skip("Step Law's tables state no licence and lie only in ../shared, which is absent")
    with (folder / "moe_lr_bs_loss.csv").open(newline="") as file:
        moe = list(csv.DictReader(file))
    with (folder / "dense_lr_bs_loss.csv").open(newline="") as file:
        dense = list(csv.DictReader(file))
    assert (len(moe), len(dense)) == (708, 1911)
    for row in moe:
        found = count_module.count_under(layer_shape(row, int(row["seq_len"])), "non-embedding")
        wanted = tuple(int(float(row[name])) for name in ("Na", "N", "M"))
        assert (found.n_active, found.n_total, found.flops_per_token) == wanted
    for row in dense:
        found = count_module.count_under(layer_shape(row, 2048), "non-embedding")
        assert found.n_active == found.n_total == int(float(row["N"]))


def check_by_hand(count_under: Callable[..., Any]) -> None:
    """One dense and one sparse layer of width 6, counted on paper."""
    shape = count_module.LayerShape(
        d_model=6, num_layers=2, d_ff=10, num_heads=3, num_kv_heads=1, head_dim=2, vocab_size=7,
        seq_tokens=5, num_dense_layers=1, num_experts=4, top_k=2, expert_ff=3, shared_ff=1,
    )  # fmt: skip
    attention = 2 * (36 + 12 + 12 + 36) - 2 * (12 + 12) + 2 * 24  # q and o 36, k and v 12 each
    active = attention + 3 * 6 * 10 + 3 * 6 * (2 * 3 + 1)
    total = attention + 3 * 6 * 10 + 3 * 6 * (4 * 3 + 1)
    context = 12 * 2 * 6 * 5
    outside = 42 + 5 * 6 + 24  # tied embedding, five norms, one router of four experts
    wanted = {
        "non-embedding": (active, total, 6 * active + context),
        "kaplan": (active, total, 6 * active),
        "deepseek": ((6 * active + context) // 6, (6 * active + context) // 6 + 108,
                     6 * active + context),
        "with-head": (active + 42, total + 42, 6 * (active + 42) + context),
        "with-router": (active + 24, total + 24, 6 * (active + 24) + context),
        "all": (active + outside, total + outside, 6 * (active + outside)),
        "hoffmann": (active + outside, total + outside, 6 * active + context + 12 * 42 + 9 * 30),
    }  # fmt: skip
    for name, counts in wanted.items():
        found = count_under(shape, name)
        assert (found.n_active, found.n_total, found.flops_per_token) == counts, name


def test_conventions_by_hand() -> None:
    check_by_hand(count_module.count_under)
    with pytest.raises(ValueError, match="kaplan"):
        count_module.count_under(layer_shape_of_nothing(), "kaplna")


def layer_shape_of_nothing() -> count_module.LayerShape:
    return count_module.LayerShape(
        d_model=2, num_layers=1, d_ff=2, num_heads=1, num_kv_heads=1, head_dim=2
    )


def test_planted_experts_counted_whole() -> None:
    def whole(shape: count_module.LayerShape, name: str) -> Any:
        fields = vars(shape) | {"top_k": shape.num_experts}
        return count_module.count_under(count_module.LayerShape(**fields), name)

    with pytest.raises(AssertionError):
        check_by_hand(whole)


def test_the_case_of_an_honest_moe_size() -> None:
    """The case `honest MoE size report`, by hand."""
    from transformers import MixtralConfig

    config = MixtralConfig(
        hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=4, num_local_experts=8, num_experts_per_tok=2, vocab_size=256,
        tie_word_embeddings=True,
    )  # fmt: skip
    shape = decoder_config(config)
    assert shape is not None
    found = count(shape)
    assert (found.num_params, found.num_active_params) == (443_712, 148_800)
