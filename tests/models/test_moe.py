"""Mixture of experts against transformers, and against a loop over rows."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from fixtures.tiny import EXPERTS, packed_logits, reference_logits, texts
from torch import Tensor, nn

from burnish.models import moe as moe_module
from burnish.models.config import ExpertsConfig, decoder_config
from burnish.models.decoder import Decoder
from burnish.models.moe import MoE, Router

CLOSE = {"atol": 3e-5, "rtol": 1e-5}  # sums in another order; what is promised is 1e-4


def check_logits(decoder: Decoder, reference: Any) -> None:
    sequences = texts()
    for tokens, found in zip(sequences, packed_logits(decoder, sequences), strict=True):
        torch.testing.assert_close(found, reference_logits(reference, tokens), **CLOSE)


@pytest.mark.parametrize("family", EXPERTS)
def test_logits_equal_transformers(family: str, tiny_model: Any, tiny_reference: Any) -> None:
    decoder = tiny_model(family).network
    assert isinstance(decoder, Decoder)
    check_logits(decoder, tiny_reference(family))


def test_planted_weights_not_normalised(
    tiny_model: Any, tiny_reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in tiny_model("moe-mixtral").network.modules():
        if isinstance(module, Router):
            monkeypatch.setattr(module, "normalised", False)
    with pytest.raises(AssertionError):
        check_logits(tiny_model("moe-mixtral").network, tiny_reference("moe-mixtral"))


@pytest.mark.parametrize("family", EXPERTS)
def test_gradients_equal_transformers(family: str, tiny_model: Any, tiny_reference: Any) -> None:
    """With layers computed once and twice; peft and the loop see transformers' names."""
    reference, tokens = tiny_reference(family), torch.tensor(texts([17])[0])
    shape = decoder_config(reference.config)
    assert shape is not None
    decoder = Decoder(shape, reference.config)
    decoder.load_state_dict(reference.state_dict())
    reference.zero_grad()
    logits = reference(input_ids=tokens[None]).logits[0, :-1]
    F.cross_entropy(logits, tokens[1:]).backward()
    wanted = {n: p.grad for n, p in reference.named_parameters() if p.grad is not None}
    for decoder.model.checkpointing in (False, True):
        decoder.zero_grad()
        (found,) = with_gradients(decoder, [tokens.tolist()])
        F.cross_entropy(found[:-1], tokens[1:]).backward()
        gradients = {n: p.grad for n, p in decoder.named_parameters() if p.grad is not None}
        assert gradients.keys() == wanted.keys()
        for name, gradient in wanted.items():
            torch.testing.assert_close(gradients[name], gradient, atol=1e-4, rtol=1e-3)
    reference.zero_grad()


def with_gradients(decoder: Decoder, sequences: list[list[int]]) -> list[Tensor]:
    from burnish.kv.rope import Rope
    from burnish.kv.shared import SharedAttend, packed

    lengths = [len(tokens) for tokens in sequences]
    attend = SharedAttend(packed(lengths), Rope(decoder.config), decoder.shape.windows)
    flat = torch.tensor([token for tokens in sequences for token in tokens])
    return list(decoder.head(decoder.hidden(flat, attend)).split(lengths))


def make_moe(num_experts: int = 5, top_k: int = 2, **settings: Any) -> MoE:
    """A layer of random weights, in training."""
    given = {"d_expert": 7, "normalised": True, "layers": (0,), **settings}
    torch.manual_seed(3)
    layer = MoE(11, ExpertsConfig(num_experts=num_experts, top_k=top_k, **given), None)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape))
    return layer


def make_rows(num: int = 23) -> Tensor:
    return torch.randn(num, 11, generator=torch.Generator().manual_seed(num))


def by_hand(layer: MoE, rows: Tensor, *, bias: Tensor | None = None, capacity: int = 99) -> Tensor:
    """One row after another, one expert after another, as the papers say it."""
    out, taken = [], [0] * layer.config.num_experts
    for row in rows:
        chances = torch.exp(layer.gate.weight @ row)
        chances = chances / chances.sum()
        ranked = (chances if bias is None else chances + bias).argsort(descending=True)
        chosen = ranked[: layer.config.top_k].tolist()
        whole = sum(chances[i] for i in chosen) if layer.config.normalised else 1.0
        total = torch.zeros(11)
        for expert in chosen:
            taken[expert] += 1
            if taken[expert] > capacity:
                continue
            gate, up = (layer.experts.gate_up_proj[expert] @ row).chunk(2)
            made = layer.experts.down_proj[expert] @ (gate / (1 + torch.exp(-gate)) * up)
            total = total + chances[expert] / whole * made
        out.append(total)
    return torch.stack(out)


def check_dropless(layer: MoE, rows: Tensor) -> None:
    """Values and all gradients."""
    slope = torch.randn(rows.shape, generator=torch.Generator().manual_seed(1))
    results = []
    for compute in (layer, lambda own: by_hand(layer, own)):
        layer.zero_grad(set_to_none=True)
        own = rows.clone().requires_grad_()
        out = compute(own)
        (out * slope).sum().backward()
        found = [torch.zeros_like(p) if p.grad is None else p.grad for p in layer.parameters()]
        results.append([out.detach(), own.grad, *found])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("num_experts", "top_k", "normalised"),
    [(5, 2, True), (5, 2, False), (3, 3, True), (1, 1, True), (6, 1, False)],
)
def test_dropless_equals_a_loop_over_rows(num_experts: int, top_k: int, normalised: bool) -> None:
    check_dropless(make_moe(num_experts, top_k, normalised=normalised), make_rows())


def towards(layer: MoE, expert: int) -> Tensor:
    """Rows that all score `expert` highest."""
    with torch.no_grad():
        layer.gate.weight.fill_(-1.0)
        layer.gate.weight[expert] = 1.0
    return make_rows().abs()


def test_all_rows_to_one_expert() -> None:
    layer = make_moe(top_k=1)
    rows = towards(layer, 3)
    check_dropless(layer, rows)
    gradient = layer.experts.down_proj.grad
    assert gradient is not None and [bool(g.any()) for g in gradient] == [False] * 3 + [True, False]


def test_an_expert_without_rows_and_a_pass_of_one_row() -> None:
    layer = make_moe()
    with torch.no_grad():
        layer.gate.weight.copy_(torch.tensor([0.3, 0.1, -0.9, 0.2, 0.0])[:, None].expand(5, 11))
    rows = make_rows().abs()
    _, chosen = layer.gate.choose(layer.gate(rows))
    assert 2 not in chosen
    check_dropless(layer, rows)
    check_dropless(layer, rows[:1])


def test_planted_expert_off_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = moe_module.group
    monkeypatch.setattr(moe_module, "group", lambda c, n, **o: exact((c + 1) % n, n, **o))
    with pytest.raises(AssertionError):
        check_dropless(make_moe(), make_rows())


def check_capacity(layer: MoE) -> None:
    """23 rows, 2 of 5 experts: an even share is 9.2 rows, half of it 4.6, so 5 are taken."""
    rows = make_rows()
    layer.capacity_factor, layer.records = 0.5, []
    torch.testing.assert_close(layer(rows), by_hand(layer, rows, capacity=5), **CLOSE)
    (record,) = layer.records
    counts = record.chosen.flatten().bincount(minlength=5)
    assert record.num_dropped == int((counts - 5).clamp(min=0).sum()) > 0
    layer.eval()
    torch.testing.assert_close(layer(rows), by_hand(layer, rows), **CLOSE)


def test_capacity_drops_the_last_rows_in_training_only() -> None:
    check_capacity(make_moe())


def test_planted_capacity_rounded_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moe_module.math, "ceil", int)
    with pytest.raises(AssertionError):
        check_capacity(make_moe())


def test_dropped_rows_have_exact_gradients() -> None:
    layer = make_moe().double()
    layer.capacity_factor = 0.5
    rows = make_rows(9).double().requires_grad_()
    assert torch.autograd.gradcheck(layer, rows)


def test_bias_changes_choices() -> None:
    """In training only, and never the weights of what was chosen."""
    layer, rows = make_moe(), make_rows()
    bias = torch.tensor([0.0, 5.0, 0.0, -5.0, 0.0])
    layer.gate.bias = bias
    _, chosen = layer.gate.choose(layer.gate(rows))
    assert (chosen == 1).any(-1).all() and not (chosen == 3).any()
    torch.testing.assert_close(layer(rows), by_hand(layer, rows, bias=bias), **CLOSE)
    layer.eval()
    torch.testing.assert_close(layer(rows), by_hand(layer, rows), **CLOSE)


def test_only_passes_that_are_learned_from_are_recorded() -> None:
    layer, rows = make_moe(), make_rows()
    layer(rows)
    layer.records = []
    with torch.no_grad():
        layer(rows)
    layer.eval()(rows)
    assert layer.records == []
    layer.train()(rows)
    assert [len(record.chosen) for record in layer.records] == [23]


@pytest.mark.parametrize("family", EXPERTS)
def test_fused_experts_change_nothing(family: str, tiny_model: Any, tiny_folder: Any) -> None:
    from burnish.models.load import load_model

    fused = packed_logits(tiny_model(family).network, texts())
    own = load_model(str(tiny_folder(family)), precision="fp32", device="cpu").network
    assert isinstance(own, Decoder)
    own.unfuse()
    for one, other in zip(packed_logits(own, texts()), fused, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_rows_in_bf16_do_not_depend_on_their_neighbours(tiny_model: Any) -> None:
    """What lossless drafting and shared prefixes stand on."""
    decoder = tiny_model("moe-qwen2", "bf16").network
    rows = torch.randn(40, 24, generator=torch.Generator().manual_seed(2)).bfloat16()
    layer: nn.Module = decoder.model.layers[0].mlp
    with torch.no_grad():
        whole = layer(rows)
        for num in (1, 2, 3, 7, 16):
            assert torch.equal(layer(rows[:num]), whole[:num]), num
            assert torch.equal(layer(rows[40 - num :]), whole[40 - num :]), num


def check_exact_router() -> None:
    """The case `router in low precision`: 8.0 and 8.01 are one number in bf16."""
    config = ExpertsConfig(num_experts=2, top_k=1, d_expert=3, normalised=True, layers=(0,))
    router = Router(3, config)
    router.weight.data = torch.tensor([[8.0, 0.0, 0.0], [8.0, 0.01, 0.0]])
    rows = torch.tensor([[1.0, 1.0, 0.0]]).repeat(5, 1)
    for dtype in (torch.float32, torch.bfloat16):
        router.to(dtype)
        with torch.no_grad():
            logits = router(rows.to(dtype))
        assert logits.dtype == torch.float32
        assert router.choose(logits)[1].flatten().tolist() == [1] * 5
        router.to(torch.float32)
        with torch.autocast("cpu", torch.bfloat16):
            assert router.choose(router(rows))[1].flatten().tolist() == [1] * 5


def test_routers_are_exact() -> None:
    check_exact_router()


def test_planted_router_in_bf16(monkeypatch: Any) -> None:
    monkeypatch.setattr(Router, "forward", lambda self, rows: (
        (rows.bfloat16() @ self.weight.bfloat16().T).float()))  # fmt: skip
    with pytest.raises(AssertionError):
        check_exact_router()


def test_one_expert_is_the_dense_feed_forward() -> None:
    """The case `one expert equals dense`: the gate's weight is 1, whatever the router says."""
    config = ExpertsConfig(num_experts=1, top_k=1, d_expert=7, normalised=True, layers=(0,))
    layer = MoE(5, config, None)
    rows = torch.randn(6, 5, requires_grad=True)
    gate, up = layer.experts.gate_up_proj[0].chunk(2)
    wanted = (torch.nn.functional.silu(rows @ gate.T) * (rows @ up.T)) @ layer.experts.down_proj[
        0
    ].T
    found = layer(rows)
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=0)
    found.sum().backward()
    assert layer.gate.weight.grad is None or not layer.gate.weight.grad.any()


def test_gates_without_kernels() -> None:
    both = torch.randn(3, 10, generator=torch.Generator().manual_seed(0))
    wanted = F.silu(both[:, :5]) * both[:, 5:]
    assert torch.allclose(moe_module._gated(both), wanted, atol=1e-6)
    exact = F.silu(both.double()[:, :5]) * both.double()[:, 5:]
    assert torch.equal(moe_module._gated(both.double()), exact)  # no kernel takes these
