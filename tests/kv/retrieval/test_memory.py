"""Retrieving memories: exact where nothing is left out, and references where something is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixtures.brute import rope_config, rotated
from fixtures.tiny import reference_logits, texts
from torch import Tensor

from burnish.contracts.kv_policy import KVMemory, KVPolicy, KVShape, MemoryPolicy
from burnish.kv.memory import open_memory
from burnish.kv.policies import kv_policies
from burnish.kv.retrieval import memory as module
from burnish.kv.retrieval import store as store_module
from burnish.kv.retrieval.memory import RetrievingMemory
from burnish.kv.retrieval.place import Places

CLOSE = {"atol": 1e-4, "rtol": 1e-4}
SMALL = "local_tokens=8,num_sinks=2"
TRIANGLE = f"{SMALL},least_tokens=2,most_tokens=6,mean_tokens=4"
RETRIEVING = {
    "triangle": TRIANGLE,
    "triangle-dp": TRIANGLE,
    "random": TRIANGLE,
    "blocks": f"{SMALL},size=5",
    "quest": f"{SMALL},size=3",
    "surprise": f"{SMALL},least_tokens=2,most_tokens=6",
    "oracle": SMALL,
}
FAR = 13


def spec_of(name: str, far: int = FAR, more: str = "") -> str:
    return f"{name}:far_tokens={far},{RETRIEVING[name]}{more}"


@pytest.fixture(autouse=True)
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAST_ROWS", 16)


def shape_of(model: Any) -> KVShape:
    shape = model.network.shape
    return KVShape(
        num_layers=shape.num_layers, num_kv_heads=shape.num_kv_heads, head_dim=shape.head_dim,
        windows=shape.windows, config=model.network.config, dtype=model.dtype, device=model.device,
    )  # fmt: skip


def opened(model: Any, spec: str) -> Any:
    return open_memory(kv_policies.parse(spec), shape_of(model))


def read(model: Any, memory: KVMemory, tokens: Sequence[int], *, chunk: int = 7) -> Tensor:
    rows = []
    with torch.no_grad():
        for begin in range(0, len(tokens), chunk):
            piece = torch.tensor(tokens[begin : begin + chunk])
            rows.append(model.network.hidden(piece, memory.attend(len(piece))))
            memory.advance()
        return model.network.head(torch.cat(rows))


def check_covered(spec: str, model: Any, wanted: Tensor, tokens: Sequence[int], chunk: int) -> None:
    found = read(model, opened(model, spec), tokens, chunk=chunk)
    torch.testing.assert_close(found, wanted, **CLOSE)


@pytest.mark.parametrize("name", RETRIEVING)
@pytest.mark.parametrize("family", ["llama", "mistral"])
def test_a_budget_that_covers_the_text_is_transformers(
    name: str, family: str, tiny_model: Any, tiny_reference: Any
) -> None:
    model, (tokens,) = tiny_model(family), texts([41])
    wanted = reference_logits(tiny_reference(family), tokens)
    for chunk in (1, 7, 41) if (name, family) == ("triangle-dp", "llama") else (6,):
        check_covered(spec_of(name, 64, ",positions=true"), model, wanted, tokens, chunk)


def test_planted_tokens_counted_twice(
    tiny_model: Any, tiny_reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keep(self: RetrievingMemory, layer: int) -> None:
        local = self.layers[layer]
        exact(self, layer)
        from dataclasses import replace

        now = self.layers[layer]
        self.layers[layer] = replace(now, local=local.local, begin=local.begin, band=local.band)

    exact = RetrievingMemory._let_go
    monkeypatch.setattr(RetrievingMemory, "_let_go", keep)
    with pytest.raises((AssertionError, RuntimeError, ValueError, IndexError)):
        test_a_budget_that_covers_the_text_is_transformers(
            "blocks", "llama", tiny_model, tiny_reference
        )


def check_rotation(tiny_model: Any, tiny_reference: Any) -> None:
    test_a_budget_that_covers_the_text_is_transformers(
        "oracle", "llama", tiny_model, tiny_reference
    )


def test_planted_far_tokens_without_rotation(
    tiny_model: Any, tiny_reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def constant(self: Places, *given: Any, **named: Any) -> None:
        exact(self, *given, **named)
        self.kind = "constant"

    exact = Places.__init__
    monkeypatch.setattr(Places, "__init__", constant)
    with pytest.raises(AssertionError):
        check_rotation(tiny_model, tiny_reference)


@pytest.mark.parametrize("name", RETRIEVING)
def test_parts_hold_each_token_once(name: str, tiny_model: Any) -> None:
    model, (tokens,) = tiny_model("llama"), texts([90])
    memory = opened(model, spec_of(name))
    seen: list[int] = []

    def watch(layer: int, query: Tensor, at: Tensor) -> None:
        state = memory.layers[layer]
        sinks = state.sinks.shape[2]
        rows = at[0, :sinks].tolist()
        assert rows == list(range(sinks))
        assert all(len(set(row.tolist())) == len(row) for row in at)
        assert int(at.max() if at.numel() else -1) < state.begin
        seen.append(at.shape[1])

    memory.watch = watch
    for begin in range(0, 90, 7):
        read(model, memory, tokens[begin : begin + 7])
        for state, store in zip(memory.layers, memory.stores, strict=True):
            assert state.begin == state.sinks.shape[2] + store.num_tokens
            assert state.begin + state.local.shape[2] == memory.num_tokens == min(begin + 7, 90)
            assert store.num_tokens == int(state.index.lengths.sum())
            assert len(state.band) == state.local.shape[2] >= min(8, memory.num_tokens)
    assert max(seen) == FAR + 2
    batch = memory.plan.segmenter.batch_tokens
    assert memory.peak_tokens <= FAR + 2 + 8 + 2 * batch + 7  # a span open, one closing, a chunk


class TestContract:
    """What holds for every retrieving policy."""

    @pytest.mark.parametrize("name", RETRIEVING)
    def test_protocols(self, name: str, tiny_model: Any) -> None:
        policy = kv_policies.parse(spec_of(name))
        assert isinstance(policy, KVPolicy) and isinstance(policy, MemoryPolicy)
        assert isinstance(opened(tiny_model("llama"), spec_of(name)), KVMemory)
        assert kv_policies.parse(kv_policies.spec(policy)) == policy
        assert policy.budget_tokens == FAR + 8 + 2 and policy.view is None

    @pytest.mark.parametrize("name", RETRIEVING)
    def test_marks_and_forks(self, name: str, tiny_model: Any) -> None:
        model, (first, aside, then) = tiny_model("llama"), texts([50, 43, 25])
        straight, bent = (opened(model, spec_of(name)) for _ in range(2))
        for memory in (straight, bent):
            read(model, memory, first)
        mark, other = bent.mark(), bent.fork()
        read(model, bent, aside)
        bent.rewind(mark)
        wanted = read(model, straight, then)
        assert torch.equal(read(model, bent, then), wanted)
        assert torch.equal(read(model, other, then), wanted)

    @pytest.mark.parametrize("name", ["triangle-dp", "blocks", "oracle"])
    @pytest.mark.parametrize("positions", ["constant", "packed"])
    def test_later_tokens_change_nothing_before(
        self, name: str, positions: str, tiny_model: Any
    ) -> None:
        model, (tokens, other) = tiny_model("llama"), texts([72, 24], seed=8)
        found = [
            read(model, opened(model, spec_of(name, more=f",positions={positions}")), text, chunk=8)
            for text in (tokens, [*tokens[:48], *other])
        ]
        assert torch.equal(found[0][:48], found[1][:48])
        assert not torch.equal(found[0][48:], found[1][48:])
        assert bool(torch.isfinite(found[0]).all())


def test_tiers_give_the_same_bits(tiny_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "SPILL_TOKENS", 9)
    model, (tokens,) = tiny_model("llama"), texts([120])
    wanted = read(model, opened(model, spec_of("triangle-dp")), tokens)
    memory = opened(model, spec_of("triangle-dp", more=",tier=disk"))
    assert torch.equal(read(model, memory, tokens), wanted)
    assert memory.stores[0].num_mapped_tokens > 60
    assert memory.peak_tokens < 60


def test_decoding_chooses_again_after_so_many_tokens(tiny_model: Any) -> None:
    model, (tokens,) = tiny_model("llama"), texts([100])
    counts: list[int] = []
    for every in (1, 3):
        memory = opened(model, spec_of("blocks", more=f",every_tokens={every}"))
        read(model, memory, tokens[:80])
        chosen = []
        for token in tokens[80:89]:
            read(model, memory, [token])
            chosen.append(memory.layers[1].chosen)
        counts.append(len({id(one) for one in chosen}))
    assert counts == [9, 3]


@pytest.mark.parametrize("name", ["triangle-dp", "blocks"])
def test_rejected_drafts_leave_no_trace(name: str, tiny_model: Any) -> None:
    """A token with a draft behind it reads what it reads alone, and so do all later ones."""
    model, (tokens, wrong) = tiny_model("llama"), texts([90, 4], seed=3)
    plain, drafted = (opened(model, spec_of(name)) for _ in range(2))
    for memory in (plain, drafted):
        read(model, memory, tokens[:80])
    for at in range(80, 90):
        wanted = read(model, plain, tokens[at : at + 1])
        rows = torch.tensor([tokens[at], *wrong])
        with torch.no_grad():
            hidden = model.network.hidden(rows, drafted.attend_drafted(5))
        drafted.accept(1)
        drafted.advance()
        torch.testing.assert_close(model.network.head(hidden[:1]), wanted, **CLOSE)
    assert drafted.num_tokens == plain.num_tokens == 90
    for own, other in zip(drafted.layers, plain.layers, strict=True):
        torch.testing.assert_close(own.local, other.local, **CLOSE)
        assert own.index.starts.tolist() == other.index.starts.tolist()


def test_persistent_recall(tiny_model: Any) -> None:
    model, (tokens,) = tiny_model("llama"), texts([100])
    plain = read(model, opened(model, spec_of("triangle-dp")), tokens)
    off = spec_of("triangle-dp", more=",persist=0.9,persist_frac=0")
    assert torch.equal(read(model, opened(model, off), tokens), plain)
    memory = opened(model, spec_of("triangle-dp", more=",persist=0.9,persist_frac=0.5"))
    assert not torch.equal(read(model, memory, tokens), plain)
    assert bool((memory.layers[0].index.kept[:, :3] > 0).all())
    for name in ("triangle", "triangle-dp"):
        more = (",vote_frac=0", ",vote_frac=0.7", ",vote_frac=0.7,vote_heads=0.1")
        found = [read(model, opened(model, spec_of(name, more=m)), tokens) for m in more]
        assert not torch.equal(found[0], found[1]) and not torch.equal(found[1], found[2])


def test_votes_come_from_lower_layers_only(tiny_model: Any) -> None:
    """Causal: a layer sees this pass's votes of the layers below it."""
    model, (tokens,) = tiny_model("llama"), texts([80])
    for heads, wanted in (("", [0, 4, 8]), ("1.0+1.3+2.2", [0, 0, 2])):
        more = f",vote_frac=0.5,vote_heads={heads}" if heads else ",vote_frac=0.5"
        memory = opened(model, spec_of("triangle-dp", more=more))
        read(model, memory, tokens[:73])
        voters: list[int] = []
        exact = type(memory)._by_shares

        def watch(self: Any, *given: Any, seen: list[int] = voters, choose: Any = exact) -> Any:
            seen.append(self.votes.num_heads)
            return choose(self, *given)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(memory), "_by_shares", watch)
            read(model, memory, tokens[73:])
        assert voters == wanted


def test_a_wide_search_is_the_oracle(tiny_model: Any) -> None:
    """Where all spans are candidates and nobody votes, the tokens are those of the oracle."""
    model, (tokens,) = tiny_model("llama"), texts([80])
    wide = far_mass(model, "triangle-dp", tokens, ",vote_frac=0,refine=50")
    shares = far_mass(model, "triangle-dp", tokens, ",vote_frac=0,refine=50", best=True)
    np.testing.assert_allclose(wide, shares, rtol=1e-5)
    narrow = far_mass(model, "triangle-dp", tokens, ",vote_frac=0,refine=1")
    assert narrow[0].mean() < wide[0].mean()


def test_random_depends_on_its_seed(tiny_model: Any) -> None:
    model, (tokens,) = tiny_model("llama"), texts([80])
    specs = [spec_of("random", more=more) for more in ("", ",seed=1", ",what=bounds", "")]
    found = [read(model, opened(model, spec), tokens) for spec in specs]
    assert torch.equal(found[0], found[3])
    assert not torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def far_mass(
    model: Any, name: str, tokens: Sequence[int], more: str = "", *, best: bool = False
) -> np.ndarray:
    """Share of far attention that the last token's choice holds, by layer and key head.

    `best`: of the best tokens of the same number instead.
    """
    memory = opened(model, spec_of(name, more=f",positions=true{more}"))
    oracle = opened(model, spec_of("oracle", more=",positions=true"))
    read(model, memory, tokens[:-1])
    found = []

    def watch(layer: int, query: Tensor, at: Tensor) -> None:
        scores = memory.far_scores(layer, query, memory.places(1))
        shares = scores.softmax(-1).sum((1, 2))
        sinks = memory.layers[layer].sinks.shape[2]
        held = at[:, sinks:] - sinks
        held = shares.topk(held.shape[1], dim=-1).indices if best else held
        found.append(shares.gather(1, held).sum(-1).numpy())

    memory.watch = watch
    read(model, memory, tokens[-1:])
    assert oracle.plan.far_tokens == FAR
    return np.stack(found)


def test_no_policy_has_more_mass_than_the_oracle(tiny_model: Any) -> None:
    """The first layer's queries and keys are the same for all, so that shares can be compared."""
    model, (tokens,) = tiny_model("llama"), texts([80])
    held = {name: far_mass(model, name, tokens)[0] for name in RETRIEVING if name != "surprise"}
    # pieces leave the window at other places: only policies with the oracle's far tokens compare
    assert bool((held["oracle"] > 0.2).all())
    assert float(held["oracle"].mean()) > float(held["random"].mean())


def infllm(
    query: np.ndarray, key: np.ndarray, value: np.ndarray, *, chunk: int, plan: Any
) -> np.ndarray:
    """InfLLM token by token, in double precision, with its own bookkeeping."""
    sinks, window, size, far = plan["sinks"], plan["local"], plan["size"], plan["far"]
    num, heads, width = query.shape
    group = heads // key.shape[1]
    kv = np.arange(heads) // group
    out = np.zeros(query.shape)
    given = np.zeros((num, num))  # local attention, summed over heads
    blocks: list[int] = []  # first token of each
    begin = 0
    for start in range(0, num, chunk):
        rows = range(start, min(num, start + chunk))
        mean = query[list(rows)].mean(0)
        scores = []
        for first in blocks:
            mass = [given[j : first + size, j].sum() for j in range(first, first + size)]
            top = np.argsort(-np.array(mass), kind="stable")[:4]
            vector = key[first + top].mean(0)
            scores.append(sum(mean[h] @ vector[kv[h]] for h in range(heads)))
        best = [blocks[i] for i in np.argsort(-np.array(scores), kind="stable")]
        read_far = [t for first in best for t in range(first, first + size)][:far]
        apart = [*range(min(sinks, begin)), *read_far]
        for t in rows:
            near = list(range(begin, t + 1))
            now = rotated(query[t : t + 1], np.array([t]))[0]
            away = rotated(query[t : t + 1], np.array([window]))[0]
            turned = rotated(key[near], np.array(near))
            for h in range(heads):
                logits = np.concatenate((key[apart, kv[h]] @ away[h], turned[:, kv[h]] @ now[h]))
                shares = np.exp(logits / np.sqrt(width))
                shares /= shares.sum()
                out[t, h] = shares @ value[[*apart, *near], kv[h]]
                for place, j in enumerate(near):
                    if t - j < size:
                        given[t, j] += shares[len(apart) + place]
        end = rows[-1] + 1
        if begin == 0 and end - window >= sinks:
            begin = sinks
        while begin >= sinks and end - window - begin >= size and begin > 0:
            blocks.append(begin)
            begin += size
    return out


def check_infllm(chunk: int) -> None:
    source = np.random.default_rng(5)
    query, key, value = (source.normal(size=(67, heads, 10)) for heads in (6, 2, 2))
    policy = kv_policies.parse(
        "blocks:size=5,far_tokens=15,local_tokens=8,num_sinks=3,positions=constant"
    )
    shape = KVShape(
        num_layers=1, num_kv_heads=2, head_dim=10, windows=[None], config=rope_config(10),
        dtype=torch.float64, device=torch.device("cpu"),
    )  # fmt: skip
    memory = open_memory(policy, shape)
    rows = []
    for begin in range(0, 67, chunk):
        new = [torch.tensor(x[begin : begin + chunk]) for x in (query, key, value)]
        rows.append(memory.attend(len(new[0]))(0, *new))
        memory.advance()
    plan = {"sinks": 3, "local": 8, "size": 5, "far": 15}
    wanted = infllm(query, key, value, chunk=chunk, plan=plan)
    np.testing.assert_allclose(torch.cat(rows).numpy(), wanted, atol=1e-5)


@pytest.mark.parametrize("chunk", [1, 4, 11])
def test_blocks_equal_infllm_in_float64(chunk: int) -> None:
    check_infllm(chunk)


def test_planted_choice_of_the_worst_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ranked", lambda fresh, *rest: np.argsort(fresh, kind="stable"))
    with pytest.raises(AssertionError):
        check_infllm(4)


def test_surprise_cuts_where_it_is_told(tiny_model: Any) -> None:
    model, (tokens,) = tiny_model("llama"), texts([40])
    memory = opened(model, spec_of("surprise"))
    for begin in range(0, 40, 8):
        with torch.no_grad():
            model.network.hidden(torch.tensor(tokens[begin : begin + 8]), memory.attend(8))
        at = np.arange(begin, begin + 8)
        memory.see_surprise(np.where(at % 5 == 2, 9.0, 1.0 + 0.01 * (at % 3)))
        memory.advance()
    starts = memory.layers[0].index.starts + 2
    assert len(starts) > 3 and set(starts[1:] % 5) == {2}


def test_texts_of_a_few_tokens(tiny_model: Any, tiny_reference: Any) -> None:
    model = tiny_model("llama")
    for name in RETRIEVING:
        for num in (1, 3, 10):
            (tokens,) = texts([num])
            wanted = reference_logits(tiny_reference("llama"), tokens)
            check_covered(f"{name}:local_tokens=16,num_sinks=4", model, wanted, tokens, 3)


def test_a_folder_of_its_own(tiny_model: Any, tmp_path: Path) -> None:
    policy = kv_policies.parse(spec_of("blocks"))
    memory = policy.open(shape_of(tiny_model("llama")), folder=tmp_path)
    read(tiny_model("llama"), memory, texts([60])[0])
    for store in memory.stores:
        store.spill()
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"layer-00{n}.kv" for n in range(3)]


def test_freed_memory_is_given_back_while_reading(
    tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With files, once for every so many tokens; in memory, never."""
    calls: list[int] = []
    monkeypatch.setattr(module, "TRIM_TOKENS", 50)
    monkeypatch.setattr(module, "return_freed_memory", lambda: calls.append(1))
    model, (tokens,) = tiny_model("llama"), texts([160])
    for more, wanted in ((",tier=disk", 3), ("", 0)):
        calls.clear()
        read(model, opened(model, spec_of("blocks", more=more)), tokens)
        assert len(calls) == wanted


def test_returning_freed_memory_changes_nothing() -> None:
    kept = torch.arange(100_000)
    store_module.return_freed_memory()
    assert int(kept.sum()) == 4_999_950_000
