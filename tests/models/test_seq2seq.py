"""Encoder and decoder against torch's own attention, written out with positions by hand."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from fixtures.translating import END, tiny_network
from torch import Tensor

from burnish.arch.seq2seq.forward import Teacher, TokenPair
from burnish.models import seq2seq as module
from burnish.models.seq2seq import Memory

PAIR = TokenPair(source=(5, 9, 2), target=(7, 3, 11, 4))


def norm(x: Tensor, weight: Tensor) -> Tensor:
    return x / (x.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt() * weight


def turned(x: Tensor) -> Tensor:
    """Rotary positions by complex numbers; halves layout."""
    length, _, size = x.shape
    angle = torch.arange(length)[:, None] / 10000 ** (torch.arange(0, size, 2) / size)
    pairs = torch.complex(x[..., : size // 2], x[..., size // 2 :])
    pairs = pairs * torch.polar(torch.ones_like(angle), angle)[:, None]
    return torch.cat([pairs.real, pairs.imag], -1)


def attend(rows: Tensor, others: Tensor, part: Any, *, positions: bool, causal: bool) -> Tensor:
    query, key, value = (
        F.linear(x, p.weight).unflatten(-1, (2, -1))
        for x, p in ((rows, part.q_proj), (others, part.k_proj), (others, part.v_proj))
    )
    if positions:
        query, key = turned(query), turned(key)
    logits = torch.einsum("qhd,khd->hqk", query, key) / math.sqrt(query.shape[-1])
    if causal:
        logits = logits.masked_fill(torch.ones(logits.shape[1:]).triu(1).bool(), -math.inf)
    out = torch.einsum("hqk,khd->qhd", logits.softmax(-1), value)
    return F.linear(out.flatten(1), part.o_proj.weight)


def feed(rows: Tensor, mlp: Any) -> Tensor:
    gate, up = (F.linear(rows, p.weight) for p in (mlp.gate_proj, mlp.up_proj))
    return F.linear(F.silu(gate) * up, mlp.down_proj.weight)


def layer(rows: Tensor, part: Any, memory: Tensor | None) -> Tensor:
    normed = norm(rows, part.input_layernorm.weight)
    causal = memory is not None
    rows = rows + attend(normed, normed, part.self_attn, positions=True, causal=causal)
    if memory is not None:
        normed = norm(rows, part.cross_layernorm.weight)
        rows = rows + attend(normed, memory, part.cross_attn, positions=False, causal=False)
    return rows + feed(norm(rows, part.post_attention_layernorm.weight), part.mlp)


def reference(network: Any, pair: TokenPair, evaluations: int) -> Tensor:
    """Final rows; with three evaluations those of order 2 by hand, gamma 1/2, backward Euler."""
    table = network.decoder.model.embed_tokens.weight

    def through(rows: Tensor, stack: Any, memory: Tensor | None) -> Tensor:
        for part in stack.layers:

            def change(at: Tensor, part: Any = part) -> Tensor:
                return layer(at, part, memory) - at

            if evaluations == 1:
                rows = rows + change(rows)
                continue
            first = change(rows)
            second = change(rows + first)
            rows = rows + change(rows + 0.25 * first + 0.5 * second)
        return norm(rows, stack.norm.weight)

    memory = through(table[[*pair.source, END]], network.encoder, None)
    return through(table[[END, *pair.target]], network.decoder.model, memory)


def check_reference(block: str) -> None:
    network = tiny_network(block, std=0.2)
    with torch.no_grad():
        found, _ = Teacher(network, end=END).rows(network, [PAIR])
        wanted = reference(network, PAIR, 3 if block.startswith("pcformer") else 1)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("block", ["dense", "pcformer:order=2"])
def test_decoder_equals_a_reference(block: str) -> None:
    check_reference(block)


def test_planted_memory_of_the_first_evaluation_only(monkeypatch: Any) -> None:
    exact, seen = module.CrossLayer._attended, []

    def once(self: Any, rows: Any, attend: Any, evaluation: int, kept: Any) -> Any:
        seen.append(evaluation)
        if evaluation:
            return module.Layer._attended(self, rows, attend, evaluation, kept)
        return exact(self, rows, attend, evaluation, kept)

    monkeypatch.setattr(module.CrossLayer, "_attended", once)
    check_reference("dense")
    with pytest.raises(AssertionError):
        check_reference("pcformer:order=2")
    assert max(seen) == 2


def check_crossing() -> None:
    network = tiny_network()
    cross = network.decoder.model.layers[1].cross_attn
    source = torch.Generator().manual_seed(2)
    rows = torch.randn(3 * 4, 28, generator=source)
    keys = torch.randn(3, 5, 28, generator=source)
    seen = torch.arange(5) < torch.tensor([5, 2, 1])[:, None]
    found = cross(rows, Memory(keys, seen)).unflatten(0, (3, 4))
    for number, length in enumerate((5, 2, 1)):
        query, own = rows.unflatten(0, (3, 4))[number], keys[number, :length]
        wanted, _ = F.multi_head_attention_forward(
            query, own, own, 28, 2, None, torch.zeros(3 * 28), None, None, False, 0.0,
            cross.o_proj.weight, torch.zeros(28), use_separate_proj_weight=True,
            q_proj_weight=cross.q_proj.weight, k_proj_weight=cross.k_proj.weight,
            v_proj_weight=cross.v_proj.weight,
        )  # fmt: skip
        torch.testing.assert_close(found[number], wanted, atol=1e-4, rtol=1e-4)


def test_cross_attention_equals_torch() -> None:
    check_crossing()


def test_grouped_heads_share_keys_and_values() -> None:
    """Heads in groups equal heads of their own with the same matrices."""
    whole = tiny_network(num_heads=4, num_kv_heads=4, width=24).decoder.model.layers[0].cross_attn
    grouped = tiny_network(num_heads=4, num_kv_heads=2, width=24).decoder.model.layers[0].cross_attn
    size = whole.head_dim
    for name in ("k_proj", "v_proj"):
        parts = getattr(grouped, name).weight.unflatten(0, (2, size))
        getattr(whole, name).weight.copy_(parts.repeat_interleave(2, 0).flatten(0, 1))
    for name in ("q_proj", "o_proj"):
        getattr(whole, name).weight.copy_(getattr(grouped, name).weight)
    source = torch.Generator().manual_seed(2)
    rows, keys = torch.randn(8, 24, generator=source), torch.randn(2, 5, 24, generator=source)
    seen = torch.arange(5) < torch.tensor([5, 3])[:, None]
    wanted = whole(rows, Memory(keys, seen))
    torch.testing.assert_close(grouped(rows, Memory(keys, seen)), wanted)


def test_planted_padding_in_the_memory(monkeypatch: Any) -> None:
    exact = Memory.__init__

    def all_seen(self: Any, rows: Tensor, seen: Tensor) -> None:
        exact(self, rows, torch.ones_like(seen))

    monkeypatch.setattr(Memory, "__init__", all_seen)
    with pytest.raises(AssertionError):
        check_crossing()


def test_a_memory_is_read_once() -> None:
    memory, calls = Memory(torch.zeros(2, 3, 4), torch.ones(2, 3).bool()), []

    def make(rows: Tensor) -> Any:
        calls.append(len(rows))
        return rows, rows

    for _ in range(3):
        memory.read(0, make)
    memory.read(1, make)
    assert calls == [2, 2]
    assert memory.repeated(3).rows.shape == (6, 3, 4)
