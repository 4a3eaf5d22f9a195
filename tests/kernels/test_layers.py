"""All layers in one call against the same kernels one by one: the same bits."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig

from burnish.contracts.attention import Attend
from burnish.draft.attend import tree_attend
from burnish.draft.layout import make_layout
from burnish.engine.session import DecoderSession
from burnish.kernels import tiles
from burnish.kernels.layers import Layers
from burnish.kv.rope import Rope
from burnish.models.config import decoder_config
from burnish.models.decoder import Decoder
from burnish.models.quantise import quantise_decoder

pytestmark = pytest.mark.skipif(
    not tiles.usable(8), reason="needs a processor with products of bf16 pairs, and a C compiler"
)

FAMILIES = {
    "llama": {},
    "qwen2": {},  # biases
    "qwen3": {"head_dim": 32},  # norms of query and key
    "mistral": {"sliding_window": 7},
}


def make_decoder(family: str, precision: str) -> Decoder:
    torch.manual_seed(3)
    config = AutoConfig.for_model(
        family, vocab_size=97, hidden_size=96, intermediate_size=160, num_hidden_layers=3,
        num_attention_heads=6, num_key_value_heads=2, **FAMILIES[family],
    )  # fmt: skip
    shape = decoder_config(config)
    assert shape is not None
    decoder = Decoder(shape, config).requires_grad_(False)
    for parameter in decoder.parameters():
        parameter.copy_(torch.randn_like(parameter) * 0.3)
    if precision == "bf16":
        decoder.bfloat16().fuse()
    else:
        quantise_decoder(decoder, int(precision.removeprefix("int")), {})
    return decoder


def logits_of(decoder: Decoder, precision: str) -> list[Tensor]:
    """Of prompts, of steps, and of a tree behind them, whole and through some layers only."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    session = DecoderSession(
        decoder, num_slots=2, capacity_tokens=64, dtype=dtype, device=torch.device("cpu"),
        chunk_rows=11,
    )  # fmt: skip
    found = [session.prefill([0, 1], [list(range(3, 33)), list(range(5))])]
    found += [session.step([7, 8]) for _ in range(3)]
    layout = make_layout(((-1, 0, 0, 1), (-1,)), 0)
    for first, last in ((0, 3), (1, 2), (2, 2)):
        attend = tree_attend(
            session.cache,
            layout,
            session.cache.lengths,
            Rope(decoder.config),
            decoder.shape.windows,
        )
        rows = decoder.model.embed_tokens(torch.tensor([1, 2, 3, 4, 5])).to(dtype)
        found.append(through(decoder, rows, attend, first, last))
    return [*found, session.cache.cells]


def through(decoder: Decoder, rows: Tensor, attend: Attend, first: int, last: int) -> Tensor:
    unused = torch.zeros(len(rows), dtype=torch.long)
    return decoder.hidden(unused, attend, first_layer=first, last_layer=last, rows=rows)


def check_same(family: str, precision: str, change: Callable[[Layers], None] | None = None) -> None:
    with torch.inference_mode():
        decoder = make_decoder(family, precision)
        assert decoder._layers is not None
        if change is not None:
            change(decoder._layers)
        joined = logits_of(decoder, precision)
        decoder._layers = None
        for one, other in zip(joined, logits_of(decoder, precision), strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("precision", ["bf16", "int8", "int4"])
@pytest.mark.parametrize("family", FAMILIES)
def test_one_call_equals_kernel_by_kernel(family: str, precision: str, num_threads: int) -> None:
    check_same(family, precision)


def test_planted_other_eps() -> None:
    def change(layers: Layers) -> None:
        layers._eps *= 100

    with pytest.raises(AssertionError):
        check_same("llama", "bf16", change)


def test_planted_norm_of_the_next_layer() -> None:
    def change(layers: Layers) -> None:
        layers._calls[0].mlp_norm = layers._calls[1].mlp_norm

    with pytest.raises(AssertionError):
        check_same("llama", "bf16", change)


def test_unfused_layers_are_forgotten() -> None:
    decoder = make_decoder("llama", "bf16")
    decoder.unfuse()
    assert decoder._layers is None
