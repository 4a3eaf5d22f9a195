"""The decoder against transformers' own, and what it promises about rows."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from fixtures.tiny import DECODERS, packed_logits, reference_logits, texts
from torch import Tensor

from burnish.kv import shared
from burnish.kv.rope import Rope
from burnish.kv.shared import SharedAttend, packed
from burnish.models import products
from burnish.models.config import decoder_config
from burnish.models.decoder import Decoder
from burnish.models.products import Packed, can_pack, has_amx, product

CLOSE = {"atol": 3e-5, "rtol": 1e-5}  # sums in another order; what is promised is 1e-4


def check_logits(decoder: Decoder, reference: Any) -> None:
    """Ragged texts, packed, have the logits that transformers gives each alone."""
    sequences = texts()
    for tokens, found in zip(sequences, packed_logits(decoder, sequences), strict=True):
        torch.testing.assert_close(found, reference_logits(reference, tokens), **CLOSE)


@pytest.mark.parametrize("family", DECODERS)
def test_logits_equal_transformers(family: str, tiny_model: Any, tiny_reference: Any) -> None:
    check_logits(tiny_model(family).network, tiny_reference(family))


def test_reference_logits_depend_on_everything(tiny_reference: Any) -> None:
    """The tolerance means something: logits are of order one and far from each other."""
    logits = reference_logits(tiny_reference("llama"), texts()[0])
    assert logits.std() > 0.5


def test_planted_no_causal_mask(
    tiny_model: Any, tiny_reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoilt = SimpleNamespace(
        scaled_dot_product_attention=lambda q, k, v, **_: F.scaled_dot_product_attention(q, k, v)
    )
    monkeypatch.setattr(shared, "F", spoilt)  # ours only, not the reference's
    with pytest.raises(AssertionError):
        check_logits(tiny_model("llama").network, tiny_reference("llama"))


def _stretched(self: Rope, positions: Tensor, dtype: torch.dtype) -> Any:
    return EXACT_AT(self, positions + (positions > 0), dtype)


EXACT_AT = Rope.at


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_planted_positions_off_by_one(
    family: str, tiny_model: Any, tiny_reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Rope, "at", _stretched)
    with pytest.raises(AssertionError):
        check_logits(tiny_model(family).network, tiny_reference(family))


@pytest.mark.parametrize("family", ["mistral", "qwen2-sliding"])
def test_planted_no_sliding_window(
    family: str, tiny_model: Any, tiny_reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wide(self: SharedAttend, groups: Any, rope: Any, windows: Any) -> None:
        exact(self, groups, rope, [None] * len(windows))

    exact = SharedAttend.__init__
    monkeypatch.setattr(SharedAttend, "__init__", wide)
    with pytest.raises(AssertionError):
        check_logits(tiny_model(family).network, tiny_reference(family))


def test_partial_passes_make_a_whole_one(tiny_model: Any) -> None:
    decoder = tiny_model("qwen3").network
    tokens = torch.tensor(texts([11])[0])
    attend = SharedAttend(packed([11]), Rope(decoder.config), decoder.shape.windows)
    with torch.no_grad():
        whole = decoder.hidden(tokens, attend)
        stream = decoder.hidden(tokens, attend, last_layer=2)
        rest = decoder.hidden(tokens, attend, first_layer=2, rows=stream)
    assert torch.equal(whole, rest)
    assert not torch.equal(stream, whole)


def fresh_decoder(family: str, tiny_folder: Any, tiny_reference: Any) -> Decoder:
    """A decoder of its own, with gradients, unfused."""
    config = tiny_reference(family).config
    shape = decoder_config(config)
    assert shape is not None
    decoder = Decoder(shape, config)
    decoder.load_state_dict(tiny_reference(family).state_dict())
    return decoder


@pytest.mark.parametrize("family", ["llama-biased", "qwen2"])
def test_fused_products_change_nothing(family: str, tiny_folder: Any, tiny_reference: Any) -> None:
    decoder = fresh_decoder(family, tiny_folder, tiny_reference)
    single = packed_logits(decoder, texts())
    before = {name: tensor.clone() for name, tensor in decoder.state_dict().items()}
    decoder.fuse()
    fused = packed_logits(decoder, texts())
    after = decoder.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    for one, other in zip(single, fused, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    decoder.unfuse()
    with torch.no_grad():
        decoder.model.layers[0].self_attn.q_proj.weight.zero_()
    assert not torch.allclose(packed_logits(decoder, texts())[2], single[2])


def gradients(decoder: Decoder, loss_of: Callable[[Decoder], Tensor]) -> dict[str, Tensor]:
    decoder.zero_grad()
    loss_of(decoder).backward()
    return {name: p.grad.clone() for name, p in decoder.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("family", ["llama", "llama-biased", "mistral", "qwen3"])
def test_gradients_equal_transformers(family: str, tiny_folder: Any, tiny_reference: Any) -> None:
    tokens = torch.tensor(texts([17])[0])
    decoder = fresh_decoder(family, tiny_folder, tiny_reference)
    attend = SharedAttend(packed([17]), Rope(decoder.config), decoder.shape.windows)

    def ours(decoder: Decoder) -> Tensor:
        rows = decoder.hidden(tokens, attend)
        return F.cross_entropy(decoder.head(rows[:-1]), tokens[1:])

    found = gradients(decoder, ours)
    decoder.model.checkpointing = True
    again = gradients(decoder, ours)
    reference = tiny_reference(family)
    wanted = gradients(
        reference,
        lambda m: F.cross_entropy(m(input_ids=tokens[None]).logits[0, :-1], tokens[1:]),
    )
    reference.zero_grad()
    assert found.keys() == wanted.keys() == again.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(again[name], found[name], atol=1e-6, rtol=1e-5)


def check_rows_are_invariant(product_of: Callable[..., Tensor]) -> None:
    """A row of a bf16 product has the same bits whatever rows stand beside it."""
    source = torch.Generator().manual_seed(1)
    for width, outputs in ((576, 960), (1536, 576), (576, 4099)):
        weight = torch.randn(outputs, width, generator=source).bfloat16() / width**0.5
        rows = torch.randn(80, width, generator=source).bfloat16()
        whole = product_of(rows, weight, None)
        for num in (1, 2, 3, 5, 8, 16, 17, 33, 64):
            assert torch.equal(product_of(rows[:num], weight, None), whole[:num]), (width, num)
            some = rows[80 - num :]
            assert torch.equal(product_of(some, weight, None), whole[80 - num :]), (width, num)


def test_bf16_rows_are_invariant(num_threads: int) -> None:
    with torch.no_grad():
        check_rows_are_invariant(product)
        if can_pack(torch.zeros((8, 8), dtype=torch.bfloat16)):  # not without AVX-512
            check_rows_are_invariant(lambda rows, weight, bias: Packed(weight, bias)(rows))


@pytest.mark.skipif(not has_amx(), reason="this processor has no AMX")
def test_planted_calls_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "in_blocks", lambda multiply, rows: multiply(rows))
    with torch.no_grad(), pytest.raises(AssertionError):
        check_rows_are_invariant(product)


def test_planted_single_row_takes_another_kernel() -> None:
    def stacked(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        parts = [rows[:1].float() @ weight.T.float(), F.linear(rows[1:], weight, bias).float()]
        return torch.cat(parts) if len(rows) > 1 else F.linear(rows, weight, bias)

    with pytest.raises(AssertionError):
        check_rows_are_invariant(stacked)


@pytest.mark.parametrize(
    "change",
    [
        {"hidden_act": "gelu"},
        {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}},
        {"quantization_config": {"quant_method": "awq"}},
    ],
)
def test_shape_declines_what_it_does_not_claim(change: dict[str, Any], tiny_reference: Any) -> None:
    from transformers import LlamaConfig

    config = LlamaConfig.from_dict(tiny_reference("llama").config.to_dict())
    assert decoder_config(config) is not None
    for name, value in change.items():
        setattr(config, name, value)
    assert decoder_config(config) is None


def test_shape_declines_other_families() -> None:
    from transformers import GemmaConfig

    assert decoder_config(GemmaConfig()) is None


@pytest.mark.weights
def test_smollm2_logits_equal_transformers(smollm2: Any, smollm2_reference: Any) -> None:
    assert sum(p.numel() for p in smollm2.network.parameters()) == 134_515_008
    encode = smollm2.tokenizer.encode
    sequences = [encode(text) for text in ("The capital of France is", "2 + 2 =" * 40, "x")]
    found = packed_logits(smollm2.network, sequences)
    for tokens, logits in zip(sequences, found, strict=True):
        wanted = reference_logits(smollm2_reference, tokens)
        torch.testing.assert_close(logits, wanted, atol=1e-4, rtol=1e-4)
