"""KV policies: full attention, and eviction as it would be done token by token."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from fixtures.brute import rope_config, rotated
from fixtures.tiny import reference_logits, texts
from torch import Tensor

from burnish.base.errors import BurnishError
from burnish.contracts.kv_policy import KVMemory, KVPolicy, KVShape
from burnish.kv.bounded import BoundedAttend, BoundedMemory
from burnish.kv.grouped import attend_behind, attend_grouped, group_mask
from burnish.kv.memory import open_memory
from burnish.kv.policies import kv_policies

CLOSE = {"atol": 2e-5, "rtol": 2e-5}
SPECS = ("full", "window:budget_tokens=9,num_sinks=2", "window:budget_tokens=5,num_sinks=0")


def shape_of(model: Any, windows: Sequence[int | None] | None = None) -> KVShape:
    shape = model.network.shape
    return KVShape(
        num_layers=shape.num_layers,
        num_kv_heads=shape.num_kv_heads,
        head_dim=shape.head_dim,
        windows=shape.windows if windows is None else windows,
        config=model.network.config,
        dtype=model.dtype,
        device=model.device,
    )


def read(model: Any, memory: KVMemory, tokens: Sequence[int], *, chunk: int = 7) -> Tensor:
    """Logits of every token, read in chunks."""
    rows = []
    with torch.no_grad():
        for begin in range(0, len(tokens), chunk):
            piece = torch.tensor(tokens[begin : begin + chunk])
            rows.append(model.network.hidden(piece, memory.attend(len(piece))))
            memory.advance()
        return model.network.head(torch.cat(rows))


@pytest.mark.parametrize("chunk", [1, 7, 64])
@pytest.mark.parametrize("family", ["llama", "llama-biased", "mistral", "qwen2-sliding", "qwen3"])
def test_full_equals_transformers(
    family: str, chunk: int, tiny_model: Any, tiny_reference: Any
) -> None:
    model, tokens = tiny_model(family), texts([47])[0]
    found = read(
        model, open_memory(kv_policies.parse("full"), shape_of(model)), tokens, chunk=chunk
    )
    wanted = reference_logits(tiny_reference(family), tokens)
    torch.testing.assert_close(found, wanted, **CLOSE)


def test_full_grows_past_its_first_room(tiny_model: Any, monkeypatch: Any) -> None:
    model, tokens = tiny_model("llama"), texts([40])[0]
    wanted = read(model, open_memory(kv_policies.parse("full"), shape_of(model)), tokens)
    monkeypatch.setattr("burnish.kv.whole.LEAST_TOKENS", 3)
    found = read(model, open_memory(kv_policies.parse("full"), shape_of(model)), tokens)
    torch.testing.assert_close(found, wanted, **CLOSE)


def test_window_without_sinks_is_a_sliding_model(tiny_model: Any, tiny_reference: Any) -> None:
    model, tokens = tiny_model("mistral"), texts([47])[0]
    policy = kv_policies.parse("window:budget_tokens=5,num_sinks=0")
    memory = open_memory(policy, shape_of(model, windows=[None] * 3))
    wanted = reference_logits(tiny_reference("mistral"), tokens)  # its own window is 5
    torch.testing.assert_close(read(model, memory, tokens), wanted, **CLOSE)


def evicted(
    query: np.ndarray, key: np.ndarray, value: np.ndarray, *, budget: int, sinks: int
) -> np.ndarray:
    """Token by token: append, evict, number what is left from 0, rotate by that, attend."""
    held: list[int] = []
    rows = []
    for now in range(len(query)):
        held.append(now)
        if len(held) > budget:
            del held[sinks]
        keys = rotated(key[held], np.arange(len(held)))
        asked = rotated(query[now : now + 1], np.array([len(held) - 1]))[0]
        group = query.shape[1] // key.shape[1]
        heads = []
        for head in range(query.shape[1]):
            scores = keys[:, head // group] @ asked[head] / np.sqrt(query.shape[-1])
            shares = np.exp(scores - scores.max())
            heads.append(shares / shares.sum() @ value[held, head // group])
        rows.append(heads)
    return np.array(rows)


def check_eviction(budget: int, sinks: int, chunk: int) -> None:
    source = np.random.default_rng(3)
    query, key, value = (source.normal(size=(31, heads, 10)) for heads in (6, 2, 2))
    policy = kv_policies.build("window", budget_tokens=budget, num_sinks=sinks)
    memory = open_memory(
        policy, KVShape(
            num_layers=1, num_kv_heads=2, head_dim=10, windows=[None], config=rope_config(10),
            dtype=torch.float64, device=torch.device("cpu"),
        )
    )  # fmt: skip
    rows = []
    for begin in range(0, 31, chunk):
        new = [torch.tensor(x[begin : begin + chunk]) for x in (query, key, value)]
        rows.append(memory.attend(len(new[0]))(0, *new))
        memory.advance()
        assert memory.num_kept_tokens == min(budget, memory.num_tokens)
    wanted = evicted(query, key, value, budget=budget, sinks=sinks)
    np.testing.assert_allclose(torch.cat(rows).numpy(), wanted, atol=1e-6)


@pytest.mark.parametrize("chunk", [1, 4, 31])
@pytest.mark.parametrize(("budget", "sinks"), [(9, 2), (5, 0), (4, 3), (40, 4)])
def test_window_equals_eviction_token_by_token(budget: int, sinks: int, chunk: int) -> None:
    check_eviction(budget, sinks, chunk)


def test_sinks_equal_eviction_token_by_token() -> None:
    """`sinks` is StreamingLLM with the settings of the retrieving policies."""
    sinks = kv_policies.parse("sinks:far_tokens=3,local_tokens=4,num_sinks=2")
    window = kv_policies.parse("window:budget_tokens=9,num_sinks=2")
    assert (sinks.budget_tokens, sinks.view) == (9, window.view)
    check_eviction(9, 2, 4)


def test_planted_sinks_at_their_true_distance(monkeypatch: Any) -> None:
    def still(self: BoundedAttend, memory: BoundedMemory, num_rows: int) -> None:
        exact(self, memory, num_rows)
        self._moves = False

    exact = BoundedAttend.__init__
    monkeypatch.setattr(BoundedAttend, "__init__", still)
    check_eviction(5, 0, 4)  # no sinks: nothing to move
    with pytest.raises(AssertionError):
        check_eviction(9, 2, 4)


def test_planted_eviction_one_token_late(monkeypatch: Any) -> None:
    def late(self: BoundedAttend, memory: BoundedMemory, num_rows: int) -> None:
        memory.budget_tokens += 1
        exact(self, memory, num_rows)
        memory.budget_tokens -= 1

    exact = BoundedAttend.__init__
    monkeypatch.setattr(BoundedAttend, "__init__", late)
    with pytest.raises(AssertionError):
        check_eviction(9, 2, 31)


def test_every_policy_is_known() -> None:
    assert {spec.partition(":")[0] for spec in SPECS} <= set(kv_policies.names())


@pytest.mark.parametrize("spec", SPECS)
class TestContract:
    """What holds for every policy."""

    def test_protocols(self, spec: str, tiny_model: Any) -> None:
        policy = kv_policies.parse(spec)
        assert isinstance(policy, KVPolicy)
        assert isinstance(open_memory(policy, shape_of(tiny_model("llama"))), KVMemory)

    def test_chunks_do_not_matter(self, spec: str, tiny_model: Any) -> None:
        model, tokens = tiny_model("llama"), texts([47])[0]
        found = [
            read(model, open_memory(kv_policies.parse(spec), shape_of(model)), tokens, chunk=chunk)
            for chunk in (1, 4, 47)
        ]
        torch.testing.assert_close(found[0], found[2], **CLOSE)
        torch.testing.assert_close(found[1], found[2], **CLOSE)

    def test_a_budget_that_covers_the_text_is_full(self, spec: str, tiny_model: Any) -> None:
        model, policy = tiny_model("llama"), kv_policies.parse(spec)
        tokens = texts([policy.budget_tokens or 20])[0]
        wanted = read(model, open_memory(kv_policies.parse("full"), shape_of(model)), tokens)
        torch.testing.assert_close(
            read(model, open_memory(policy, shape_of(model)), tokens), wanted, **CLOSE
        )

    def test_marks_bring_back_the_same_bits(self, spec: str, tiny_model: Any) -> None:
        model, (first, aside, then) = tiny_model("llama"), texts([20, 33, 15])
        straight, bent = (open_memory(kv_policies.parse(spec), shape_of(model)) for _ in range(2))
        for memory in (straight, bent):
            read(model, memory, first)
        mark = bent.mark()
        read(model, bent, aside)
        bent.rewind(mark)
        assert bent.num_tokens == 20
        assert torch.equal(read(model, bent, then), read(model, straight, then))


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("window:budget_tokens=4,num_sinks=4", "must be more than num_sinks (4), got 4"),
        ("window:num_sinks=-1", "must not be negative"),
        ("windw", "Did you mean 'window'"),
        ("full:budget_tokens=3", "has no such field"),
    ],
)
def test_refusals(spec: str, says: str) -> None:
    with pytest.raises(BurnishError) as error:
        kv_policies.parse(spec)
    assert says in str(error.value)


def test_planted_mark_that_is_not_kept(tiny_model: Any, monkeypatch: Any) -> None:
    def forget(self: BoundedMemory, mark: tuple[int, list[Tensor]]) -> None:
        self._num_tokens = mark[0]

    check: Callable[..., None] = TestContract().test_marks_bring_back_the_same_bits
    monkeypatch.setattr(BoundedMemory, "rewind", forget)
    with pytest.raises((AssertionError, RuntimeError)):
        check(SPECS[1], tiny_model)


def test_attention_behind_equals_attention_under_a_mask() -> None:
    source = torch.Generator().manual_seed(5)
    for num_rows, num_keys in ((1, 1), (7, 7), (1, 40), (9, 40)):
        query = torch.randn((num_rows, 6, 10), generator=source)
        keys, values = torch.randn((2, 2, num_keys, 10), generator=source)
        at = torch.arange(num_keys)
        mask = group_mask(at[num_keys - num_rows :, None] >= at, 3, torch.float32)
        wanted = attend_grouped(query, keys, values, mask)
        torch.testing.assert_close(attend_behind(query, keys, values), wanted, **CLOSE)
