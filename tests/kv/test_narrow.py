"""Keys and values in 8 bits."""

from typing import Any

import pytest
import torch
from fixtures.tiny import reference_logits, texts

from burnish.contracts.kv_policy import KVMemory, KVShape, MemoryPolicy
from burnish.kv import narrow
from burnish.kv.memory import open_memory
from burnish.kv.narrow import narrowed
from burnish.kv.policies import kv_policies


def check_rounding(narrowed: Any) -> None:
    rows = torch.randn((7, 3, 5), generator=torch.Generator().manual_seed(0))
    rows[2] = 0
    whole, scale = narrowed(rows)
    assert whole.dtype == torch.int8
    assert bool(((whole * scale - rows).abs() <= scale / 2 + 1e-7).all())
    assert bool((whole.abs().amax(-1)[rows.abs().amax(-1) > 0] == 127).all())


def test_rounding_is_at_most_half_a_step() -> None:
    check_rounding(narrowed)


def test_planted_truncation() -> None:
    def cut(rows: torch.Tensor) -> Any:
        _, scale = narrowed(rows)
        return (rows / scale).trunc().to(torch.int8), scale

    with pytest.raises(AssertionError):
        check_rounding(cut)


def test_int8_is_near_full_attention(
    tiny_model: Any, tiny_reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(narrow, "LEAST_TOKENS", 5)
    model, policy = tiny_model("llama"), kv_policies.parse("int8")
    shape = model.network.shape
    memory = open_memory(
        policy, KVShape(
            num_layers=3, num_kv_heads=shape.num_kv_heads, head_dim=shape.head_dim,
            windows=shape.windows, config=model.network.config, dtype=model.dtype,
            device=model.device,
        )
    )  # fmt: skip
    assert isinstance(policy, MemoryPolicy) and isinstance(memory, KVMemory)
    (tokens,) = texts([31])
    rows = []
    with torch.no_grad():
        for begin in range(0, 31, 6):
            piece = torch.tensor(tokens[begin : begin + 6])
            rows.append(model.network.hidden(piece, memory.attend(len(piece))))
            memory.advance()
        found = model.network.head(torch.cat(rows))
    wanted = reference_logits(tiny_reference("llama"), tokens)
    assert float((found - wanted).abs().max()) < 0.2 * float(wanted.std())
    assert not torch.equal(found, wanted)
    assert memory.num_bytes == 3 * 2 * shape.num_kv_heads * 31 * (shape.head_dim + 4)
    mark = memory.mark()
    other = memory.fork()
    memory.rewind(mark)
    assert other.num_tokens == memory.num_tokens == memory.num_kept_tokens == 31
