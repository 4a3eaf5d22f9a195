"""Counts against the networks themselves and torch's own counter of operations."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from fixtures.tiny import DECODERS, EXPERTS

from burnish.models import count as count_module
from burnish.models.config import DecoderConfig, decoder_config
from burnish.models.count import Count, count

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


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_kv_bytes_equal_the_cache(family: str, tiny_model: Any) -> None:
    from burnish.kv.dense import DenseCache

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
