"""Every reader against one naive forward pass: the same argmax at every scored place."""

import copy
import functools
from typing import Any

import pytest
import torch
from fixtures.recalling import random_material
from fixtures.tiny import texts

from burnish.base.errors import BurnishError
from burnish.models.adapters import Adapter
from burnish.recall import adapter_reader as adapters
from burnish.recall import decoder_reader
from burnish.recall.adapter_reader import CacheReader, WholeReader, adapter_reader, keeps_state
from burnish.recall.decoder_reader import DecoderReader
from burnish.recall.geometry import Layout
from burnish.recall.logits import NEAR_TIE
from burnish.recall.measure import plan_walks
from burnish.recall.reader import Reader
from burnish.recall.readers import open_reader

LENGTHS = (8, 20, 33)


@functools.cache
def naive(network: Any, tokens: tuple[int, ...]) -> torch.Tensor:
    """Logits of everything in one pass of transformers' own model, nothing shared or left out."""
    with torch.no_grad():
        return network(input_ids=torch.tensor([tokens]), use_cache=False).logits[0]


def check_identity(reader: Reader, network: Any, mode: str) -> int:
    """Compare every prediction of a small measurement; returns how many were near-ties."""
    material = random_material(33, 2, vocab=260)
    layout, num_ties = Layout(mode=mode, cue_tokens=3, scored_tokens=9), 0
    for plan in plan_walks(material, layout, LENGTHS, range(2)):
        reader.clear()
        read = 0
        for ask in plan.asks:
            reader.extend(plan.prefix[read : ask.length + 1])
            read = ask.length + 1
            found = reader.predict(ask.tokens, ask.num_scored)
            logits = naive(network, (*plan.prefix[:read], *ask.tokens[:-1]))[-ask.num_scored :]
            best = logits.topk(2).values
            close = (best[:, 0] - best[:, 1]) < 2 * NEAR_TIE
            rows = zip(found.tokens, logits.argmax(-1).tolist(), close.tolist(), strict=True)
            assert all(ours == theirs or tie for ours, theirs, tie in rows)
            assert {i for i, tie in enumerate(close.tolist()) if tie} >= set(found.near_ties)
            num_ties += len(found.near_ties)
    return num_ties


@pytest.mark.parametrize("mode", ["paper", "probe"])
@pytest.mark.parametrize("chunk_rows", [1, 7, 64, 512])
@pytest.mark.parametrize("family", ["llama", "mistral"])
def test_chunks_equal_one_naive_pass(
    family: str, chunk_rows: int, mode: str, tiny_model: Any, tiny_reference: Any
) -> None:
    reader = open_reader(tiny_model(family), chunk_rows=chunk_rows)
    assert check_identity(reader, tiny_reference(family), mode) < 3


def test_a_window_that_covers_the_text_is_full(tiny_model: Any, tiny_reference: Any) -> None:
    reader = open_reader(tiny_model("llama"), kv="window:budget_tokens=99", chunk_rows=7)
    check_identity(reader, tiny_reference("llama"), "paper")


@pytest.mark.parametrize("family", ["gpt2", "gemma2", "bloom"])
def test_adapters_equal_one_naive_pass(family: str, tiny_model: Any, tiny_reference: Any) -> None:
    reader = open_reader(tiny_model(family), chunk_rows=7)
    check_identity(reader, tiny_reference(family), "paper")
    assert isinstance(reader, CacheReader)


@pytest.fixture(scope="module")
def loud_mamba(tiny_model: Any) -> Adapter:
    """Mamba whose mixers decide what comes next; the tiny one's embeddings do."""
    adapter = copy.deepcopy(tiny_model("mamba").network)
    with torch.no_grad():
        for name, parameter in adapter.named_parameters():
            if "out_proj" in name or "x_proj" in name:
                parameter.mul_(40)
    return adapter


def test_a_model_that_loses_its_state_is_read_whole(loud_mamba: Adapter) -> None:
    reader = adapter_reader(loud_mamba)
    assert isinstance(reader, WholeReader)
    check_identity(reader, loud_mamba.network, "paper")


def test_models_that_lose_their_state_are_found(
    loud_mamba: Adapter, tiny_model: Any, monkeypatch: Any
) -> None:
    """By trying, too: a later transformers may mend one of those that are known."""
    assert not keeps_state(loud_mamba)
    assert not keeps_state(tiny_model("mamba").network)
    assert all(keeps_state(tiny_model(f).network) for f in ("gpt2", "gemma2", "bloom"))
    monkeypatch.setattr(adapters, "LOSE_THEIR_STATE", set())
    assert isinstance(adapter_reader(loud_mamba), WholeReader)


def test_planted_pieces_of_a_model_that_loses_its_state(loud_mamba: Adapter) -> None:
    with pytest.raises(AssertionError):
        check_identity(CacheReader(loud_mamba, chunk_rows=7), loud_mamba.network, "paper")


def test_positions_that_follow_the_length_are_read_whole(tiny_model: Any) -> None:
    adapter = Adapter(tiny_model("gpt2").network.network)
    adapter.config = type("Config", (), {"rope_parameters": {"rope_type": "dynamic"}})()
    assert isinstance(adapter_reader(adapter), WholeReader)


def test_planted_prediction_that_changes_the_text(
    tiny_model: Any, tiny_reference: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(adapters.copy, "deepcopy", lambda cache: cache)
    with pytest.raises((AssertionError, RuntimeError)):
        check_identity(CacheReader(tiny_model("gpt2").network), tiny_reference("gpt2"), "probe")


def test_planted_rows_shifted_by_one(
    tiny_model: Any, tiny_reference: Any, monkeypatch: Any
) -> None:
    gather = decoder_reader.gather

    def shifted(parts: Any) -> Any:
        return gather([(ids[1:] + ids[:1], ties) for ids, ties in parts])

    monkeypatch.setattr(decoder_reader, "gather", shifted)
    with pytest.raises(AssertionError):
        check_identity(open_reader(tiny_model("llama")), tiny_reference("llama"), "paper")


def test_logits_never_stand_all_at_once(tiny_model: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(decoder_reader, "HEAD_ROWS", 5)
    model = tiny_model("llama")
    reader = DecoderReader(model, open_reader(model)._policy, chunk_rows=16)
    text = texts([60])[0]
    reader.extend(text[:20])
    assert len(reader.predict(text[20:], 30).tokens) == 30
    assert reader.peak.num_bytes == 5 * 269 * 4
    assert reader.num_rows == 20 + 39


def test_near_ties_are_listed(tiny_model: Any, monkeypatch: Any) -> None:
    reader = open_reader(tiny_model("llama"))
    text = texts([20])[0]
    assert reader.predict(text, 9).near_ties == ()
    monkeypatch.setattr("burnish.recall.logits.NEAR_TIE", 1e9)
    assert reader.predict(text, 9).near_ties == tuple(range(9))


def test_policies_need_the_decoder(tiny_model: Any) -> None:
    with pytest.raises(BurnishError, match="needs a model that burnish's own decoder runs"):
        open_reader(tiny_model("gpt2"), kv="window")


def test_all_are_readers(tiny_model: Any) -> None:
    for family in ("llama", "gpt2", "mamba"):
        assert isinstance(open_reader(tiny_model(family)), Reader)
