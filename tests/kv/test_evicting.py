"""Memories that forget: masks, budgets, what is kept, and causality of what was kept."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from fixtures.brute import rope_config, rotated
from fixtures.tiny import reference_logits, texts
from torch import Tensor

from burnish.base.errors import SettingError
from burnish.contracts.kv_policy import KVMemory, KVPolicy, KVShape, MemoryPolicy
from burnish.kv.evicting import EvictingMemory
from burnish.kv.memory import open_memory
from burnish.kv.policies import kv_policies
from burnish.kv.policies.expected_attention import Expected

CLOSE = {"atol": 1e-4, "rtol": 1e-4}
SPECS = (
    "snapkv:budget_tokens=20,num_sinks=2,window_tokens=6,kernel=3",
    "expected-attention:budget_tokens=20,num_sinks=2,window_tokens=6,future_tokens=9",
)


def shape_of(model: Any) -> KVShape:
    shape = model.network.shape
    return KVShape(
        num_layers=shape.num_layers, num_kv_heads=shape.num_kv_heads, head_dim=shape.head_dim,
        windows=shape.windows, config=model.network.config, dtype=model.dtype, device=model.device,
    )  # fmt: skip


def opened(model: Any, spec: str) -> Any:
    return open_memory(kv_policies.parse(spec), shape_of(model))


def read(model: Any, memory: KVMemory, tokens: Sequence[int], *, chunk: int = 8) -> Tensor:
    rows = []
    with torch.no_grad():
        for begin in range(0, len(tokens), chunk):
            piece = torch.tensor(tokens[begin : begin + chunk])
            rows.append(model.network.hidden(piece, memory.attend(len(piece))))
            memory.advance()
        return model.network.head(torch.cat(rows))


@pytest.mark.parametrize("spec", SPECS)
def test_a_budget_that_covers_the_text_is_transformers(
    spec: str, tiny_model: Any, tiny_reference: Any
) -> None:
    for family, num, chunk in (("llama", 22, 5), ("llama", 3, 1), ("mistral", 22, 22)):
        (tokens,) = texts([num])
        memory = opened(tiny_model(family), spec)
        assert isinstance(memory, KVMemory) and isinstance(kv_policies.parse(spec), MemoryPolicy)
        wanted = reference_logits(tiny_reference(family), tokens)
        found = read(tiny_model(family), memory, tokens, chunk=chunk)
        torch.testing.assert_close(found, wanted, **CLOSE)
    assert isinstance(kv_policies.parse(spec), KVPolicy)


def test_no_layer_holds_more_than_the_budget_and_a_chunk(tiny_model: Any) -> None:
    memory = opened(tiny_model("llama"), "snapkv:budget_tokens=64,num_sinks=4")
    read(tiny_model("llama"), memory, texts([300])[0], chunk=32)
    assert memory.peak_tokens == 64 + 4 + 32
    assert memory.num_kept_tokens == 68


def check_mask(monkeypatch: pytest.MonkeyPatch | None = None) -> None:
    """Two keys kept, four new rows: row i sees exactly 3, 4, 5, 6 of them."""
    policy = kv_policies.parse("snapkv:budget_tokens=2,num_sinks=0,window_tokens=1,kernel=1")
    shape = KVShape(
        num_layers=1, num_kv_heads=1, head_dim=4, windows=[None], config=rope_config(4),
        dtype=torch.float64, device=torch.device("cpu"),
    )  # fmt: skip
    memory = open_memory(policy, shape)
    source = np.random.default_rng(0)
    query, key, value = (source.normal(size=(9, 1, 4)) for _ in range(3))
    new = [torch.tensor(x) for x in (query, key, value)]
    memory.attend(5)(0, *(x[:5] for x in new))
    memory.advance()
    kept = memory.layers[0].at[0].tolist()
    assert len(kept) == 2 and kept[-1] == 4
    found = memory.attend(4)(0, *(x[5:] for x in new)).numpy()
    for i in range(4):
        seen = [*kept, *range(5, 6 + i)]
        turned = rotated(key[seen], np.array(seen))[:, 0]
        scores = turned @ rotated(query[5 + i :][:1], np.array([5 + i]))[0, 0] / 2
        shares = np.exp(scores) / np.exp(scores).sum()
        np.testing.assert_allclose(found[i, 0], shares @ value[seen, 0], atol=1e-6)


def test_mask_after_eviction() -> None:
    check_mask()


def test_planted_square_causal_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    def square(self: Any, layer: int, at: Tensor, rows: Tensor) -> Tensor:
        seen = torch.ones((len(rows), at.shape[1]), dtype=torch.bool).tril()
        return seen.expand(len(at), -1, -1)

    monkeypatch.setattr("burnish.kv.evicting.EvictingAttend._seen", square)
    with pytest.raises(AssertionError):
        check_mask()


def check_causal(model: Any, spec: str) -> None:
    first, other = texts([24, 8], seed=5)
    runs = []
    for tokens in (first, [*first[:16], *other]):
        memory = opened(model, spec)
        rows = read(model, memory, tokens[:16])
        kept = [held.at.clone() for held in memory.layers]
        cells = [held.cells.clone() for held in memory.layers]
        runs.append((rows, kept, cells, read(model, memory, tokens[16:])))
    for one, two in zip(runs[0][:3], runs[1][:3], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert not torch.equal(runs[0][3], runs[1][3])


@pytest.mark.parametrize("spec", SPECS)
def test_a_chunk_sees_only_what_was_kept(spec: str, tiny_model: Any) -> None:
    model, narrow = tiny_model("llama"), spec.replace("budget_tokens=20", "budget_tokens=9")
    check_causal(model, narrow)
    tokens = texts([24])[0]
    full = read(model, opened(model, "full"), tokens)
    found = read(model, opened(model, narrow), tokens)
    torch.testing.assert_close(found[:8], full[:8], **CLOSE)
    assert not torch.allclose(found[16:], full[16:], atol=1e-3)


@pytest.mark.parametrize("spec", SPECS)
def test_marks_and_forks(spec: str, tiny_model: Any) -> None:
    model, (first, aside, then) = tiny_model("llama"), texts([40, 33, 15])
    straight, bent = opened(model, spec), opened(model, spec)
    for memory in (straight, bent):
        read(model, memory, first)
    mark, other = bent.mark(), bent.fork()
    read(model, bent, aside)
    bent.rewind(mark)
    wanted = read(model, straight, then)
    assert torch.equal(read(model, bent, then), wanted)
    assert torch.equal(read(model, other, then), wanted)


def check_snapkv() -> None:
    """Keys that the observation window's queries point at survive; brute force in NumPy."""
    policy = kv_policies.parse("snapkv:budget_tokens=7,num_sinks=1,window_tokens=3,kernel=3")
    shape = KVShape(
        num_layers=1, num_kv_heads=2, head_dim=6, windows=[None], config=rope_config(6),
        dtype=torch.float64, device=torch.device("cpu"),
    )  # fmt: skip
    memory = open_memory(policy, shape)
    source = np.random.default_rng(2)
    query, key, value = (2 * source.normal(size=(19, n, 6)) for n in (4, 2, 2))
    memory.attend(19)(0, *(torch.tensor(x) for x in (query, key, value)))
    memory.advance()
    at = np.arange(19)
    turned, asked = rotated(key, at), rotated(query, at)
    for head in range(2):
        mass = np.zeros(19)
        for h in (2 * head, 2 * head + 1):
            for row in (16, 17, 18):
                scores = turned[: row + 1, head] @ asked[row, h] / np.sqrt(6)
                mass[: row + 1] += np.exp(scores) / np.exp(scores).sum()
        pooled = np.array([mass[max(0, i - 1) : i + 2].mean() for i in range(19)])
        pooled[[0, 16, 17, 18]] = np.inf
        wanted = np.sort(np.argsort(-pooled, kind="stable")[:8])
        assert memory.layers[0].at[head].tolist() == wanted.tolist()


def test_snapkv_keeps_what_the_window_attends_to() -> None:
    check_snapkv()


def test_planted_scores_upside_down(monkeypatch: pytest.MonkeyPatch) -> None:
    def turned(self: EvictingMemory, held: Any) -> Any:
        score = self._score
        self._score = lambda *given: -score(*given)
        try:
            return exact(self, held)
        finally:
            self._score = score

    exact = EvictingMemory._kept
    monkeypatch.setattr(EvictingMemory, "_kept", turned)
    with pytest.raises(AssertionError):
        check_snapkv()


def test_expected_attention_equals_sampled_queries() -> None:
    """The Gaussian's expectation, against the exponentials of many drawn queries."""
    source = np.random.default_rng(4)
    key, value = (source.normal(size=(1, 5, 4)) for _ in range(2))
    queries = source.normal(size=(400, 1, 4)) * 0.6 + np.array([0.5, -0.3, 0.2, 0.1])
    from burnish.kv.evicting import Held, _joined
    from burnish.kv.rope import Rope

    cells = torch.tensor(np.stack((key, value)), dtype=torch.float32)
    none = torch.zeros((0, 1, 4))
    moments = _joined((0, none, none), torch.tensor(queries, dtype=torch.float32))
    held = Held(cells=cells, at=torch.arange(5)[None], recent=none, moments=moments)
    found = Expected(1)(held, Rope(rope_config(4)), 7)[0].numpy()
    mean, spread = queries[:, 0].mean(0), np.cov(queries[:, 0].T, bias=True)
    drawn = source.multivariate_normal(mean, spread, size=200_000)
    turned = rotated(drawn[:, None], np.full(200_000, 7))[:, 0]
    keys = rotated(key[0][:, None], np.arange(5))[:, 0]
    expected = np.exp(turned @ keys.T / 2).mean(0)
    wanted = expected / expected.sum() * np.linalg.norm(value[0], axis=-1)
    np.testing.assert_allclose(found, wanted, rtol=0.02)


def test_refusals() -> None:
    with pytest.raises(SettingError, match="must be odd"):
        kv_policies.parse("snapkv:kernel=4")
    with pytest.raises(SettingError, match="must be at least 1"):
        kv_policies.parse("expected-attention:budget_tokens=0")
