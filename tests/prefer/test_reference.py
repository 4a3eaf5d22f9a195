"""Adapters off, a frozen copy and the cache say the same, and the cache says it to everybody."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures.training import fresh

from burnish.base.errors import IncompleteError, InputError
from burnish.base.meter import Meter
from burnish.prefer import reference as reference_module
from burnish.prefer.forward import answer_logprobs
from burnish.prefer.pairs import Pair
from burnish.prefer.reference import FrozenCopy, ReferenceCache, adapter_off, passes, weights_key
from burnish.train import lora
from burnish.train.settings import LoraSettings


def moved(network: Any) -> Any:
    """Adapters whose second factor is not zero any more: the policy has left the reference."""
    lora.attach(network, LoraSettings(rank=3, dropout=0.2))
    source = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=source) * 0.2)
    return network.train()


def check_references(family: str, folder: Path, source: Path, pairs: Sequence[Pair]) -> None:
    network = fresh(source).network
    getattr(network, "unfuse", lambda: None)()
    with torch.no_grad():
        wanted = answer_logprobs(network, pairs)
    cache = ReferenceCache(folder, network)
    cache.fill(network, pairs)
    frozen = FrozenCopy(network)
    moved(network)
    with torch.no_grad():
        assert (answer_logprobs(network, pairs) - wanted).abs().max() > 0.1
    for reference in (cache, frozen, adapter_off):
        found = reference(network, pairs)
        assert not found.requires_grad
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    trained = [p for n, p in network.named_parameters() if "lora_" in n]
    assert trained and all(p.requires_grad for p in trained)  # on again, and learning


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_three_references(family: str, tiny_folder: Any, tmp_path: Path, pairs: Any) -> None:
    check_references(family, tmp_path, tiny_folder(family), pairs)


def test_planted_policy_as_reference(
    tiny_folder: Any, tmp_path: Path, pairs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        globals(), "adapter_off", lambda network, some: answer_logprobs(network, some).detach()
    )
    with pytest.raises(AssertionError):
        check_references("llama", tmp_path, tiny_folder("llama"), pairs)


def check_cache(opened: Any, network: Any, folder: Path, pairs: list[Pair]) -> None:
    """Another order, batch and process (a new object) finds the same numbers, and computes none."""
    with torch.no_grad():
        wanted = {pair.key: answer_logprobs(network, [pair]) for pair in pairs}
    meter = Meter("first")
    assert opened(folder, network).fill(network, pairs[:3], pass_tokens=30, meter=meter) == 3
    assert meter.totals()["scored"] == sum(pair.num_answer_tokens for pair in pairs[:3])
    again = opened(folder, network)
    assert again.fill(network, pairs, pass_tokens=500) == 2
    last = opened(folder, network)
    assert last.fill(network, [*pairs, *pairs]) == 0
    for some in (pairs, pairs[::-1], pairs[2:3]):
        exact = torch.cat([wanted[pair.key] for pair in some])
        torch.testing.assert_close(last(network, some), exact, atol=1e-5, rtol=1e-5)


def test_cache_serves_every_setting(tiny_model: Any, tmp_path: Path, pairs: Any) -> None:
    check_cache(ReferenceCache, tiny_model().network, tmp_path, pairs)


def test_planted_cache_by_row(
    tiny_model: Any, tmp_path: Path, pairs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache by place instead of content, as a dataset's column is."""
    monkeypatch.setattr(Pair, "key", property(lambda pair: str(len(pair.chosen) > 4)))
    with pytest.raises((AssertionError, RuntimeError)):
        check_cache(ReferenceCache, tiny_model().network, tmp_path, pairs)


def test_other_weights_find_nothing(tiny_folder: Any, tmp_path: Path, pairs: Any) -> None:
    network = fresh(tiny_folder()).network
    network.unfuse()
    ReferenceCache(tmp_path, network).fill(network, pairs)
    before = weights_key(network)
    cache = ReferenceCache(tmp_path, network)
    with torch.no_grad():
        network.model.layers[1].mlp.down_proj.weight[2, 3] += 1e-3
    assert weights_key(network) != before
    stale = ReferenceCache(tmp_path, network)
    with pytest.raises(InputError, match="row 1 has no reference log-probabilities"):
        stale(network, pairs)
    with pytest.raises(InputError, match="network must be the reference itself"):
        cache.fill(network, [Pair(row=9, prompt=(5,), chosen=(6,), rejected=(7,))])


def test_killed_in_the_middle_keeps_whole_shards(
    tiny_model: Any, tmp_path: Path, pairs_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs, network = pairs_of([(2, 3)] * 7), tiny_model().network
    monkeypatch.setattr(reference_module, "SHARD_PAIRS", 2)
    exact, left = reference_module.answer_logprobs, [3]

    def dying(*given: Any) -> torch.Tensor:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return exact(*given)

    monkeypatch.setattr(reference_module, "answer_logprobs", dying)
    with pytest.raises(KeyboardInterrupt):
        ReferenceCache(tmp_path, network).fill(network, pairs, pass_tokens=1000)
    monkeypatch.setattr(reference_module, "answer_logprobs", exact)
    assert ReferenceCache(tmp_path, network).fill(network, pairs, pass_tokens=1000) == 1
    assert not [path for path in tmp_path.rglob("*.tmp")]


def test_a_number_that_is_none_is_named(
    tiny_model: Any, tmp_path: Path, pairs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = reference_module.answer_logprobs

    def broken(network: Any, some: list[Pair]) -> torch.Tensor:
        values = exact(network, some)
        values[-1] = float("nan")
        return values

    monkeypatch.setattr(reference_module, "answer_logprobs", broken)
    with pytest.raises(IncompleteError, match=r"must be finite \(row 5\), got nan"):
        ReferenceCache(tmp_path, tiny_model().network).fill(tiny_model().network, pairs)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_passes_hold_whole_pairs(pairs: list[Pair]) -> None:
    for limit in (1, 30, 1000):
        found = list(passes(pairs, limit))
        assert [pair for one in found for pair in one] == pairs
        assert all(len(one) == 1 or sum(map(len, one)) <= limit for one in found)
    assert len(list(passes(pairs, 1000))) == 1
