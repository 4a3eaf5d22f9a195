"""Cached decoding against whole passes, and the search against every target there is."""

import itertools
from typing import Any

import pytest
import torch
from fixtures.translating import BLOCKS, END, tiny_network, token_pairs

from burnish.arch.seq2seq import decoding as module
from burnish.arch.seq2seq.decoding import Beams, decode_sources
from burnish.arch.seq2seq.forward import Teacher, TokenPair, nats_of
from burnish.arch.seq2seq.settings import BeamSettings
from burnish.kv.dense import DenseCache


def check_cached(block: str) -> None:
    """Two rows each, reordered as a search would, against a pass over all that was written."""
    network, pairs = tiny_network(block), token_pairs(3)
    settings = BeamSettings(beam=2, max_new_tokens=6)
    sources = [pair.source for pair in pairs]
    written: list[tuple[int, ...]] = [()] * (2 * len(pairs))
    source = torch.Generator().manual_seed(1)
    with torch.inference_mode():
        beams = Beams(network, sources, settings, END)
        for step in range(4):
            order = torch.randint(2, (2 * len(pairs),), generator=source)
            order += 2 * (torch.arange(2 * len(pairs)) // 2)
            tokens = torch.randint(2, 23, order.shape, generator=source)
            if step == 0:
                tokens = torch.full_like(tokens, END)
            else:
                written = [
                    (*written[i], t) for i, t in zip(order.tolist(), tokens.tolist(), strict=True)
                ]
            found = beams(tokens, order)
            whole = [TokenPair(source=sources[i // 2], target=t) for i, t in enumerate(written)]
            hidden, _ = Teacher(network, end=END).rows(network, whole)
            last = hidden.unflatten(0, (len(whole), -1))[:, -1]
            wanted = network.decoder.head(last).log_softmax(-1)
            torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("block", [*BLOCKS, "pcformer:order=2,shared_kv=true"])
@pytest.mark.parametrize("compiled", [True, False])
def test_cached_equals_uncached(block: str, compiled: bool, monkeypatch: Any) -> None:
    if not compiled:
        monkeypatch.setattr("burnish.kernels.ops.usable", lambda *tensors: False)
    check_cached(block)


def test_planted_rows_that_stay(monkeypatch: Any) -> None:
    monkeypatch.setattr(DenseCache, "reorder", lambda self, sources: None)
    with pytest.raises(AssertionError):
        check_cached("dense")


def test_planted_one_place_for_all_evaluations(monkeypatch: Any) -> None:
    from burnish.models import decoder

    exact = decoder.Attention.forward

    def shared(self: Any, rows: Any, attend: Any, evaluation: int = 0, kept: Any = None) -> Any:
        return exact(self, rows, attend, min(evaluation, 1), kept)

    monkeypatch.setattr(decoder.Attention, "forward", shared)
    with pytest.raises(AssertionError):
        check_cached("pcformer:order=2")


@pytest.mark.parametrize("block", BLOCKS[:2])
def test_search_equals_exhaustive(block: str) -> None:
    """Three tokens, targets of at most three: the best of them by teacher forcing."""
    network = tiny_network(block, vocab=4).double()
    settings = BeamSettings(beam=50, length_penalty=0.6, max_new_tokens=3)
    sources = [(2, 3), (3, 3, 2), ()]
    found = decode_sources(network, sources, settings, end=END)
    words = [0, 2, 3]
    for source, one in zip(sources, found, strict=True):
        ended = [t for n in range(3) for t in itertools.product(words, repeat=n)]
        cut = list(itertools.product(words, repeat=3))
        pairs = [TokenPair(source=source, target=t) for t in (*ended, *cut)]
        nats = nats_of(network, pairs, end=END)
        scores = [-n / (len(p.target) + 1) ** 0.6 for n, p in zip(nats, pairs, strict=True)]
        hidden, wanted = Teacher(network, end=END).rows(network, pairs[len(ended) :])
        last = network.decoder.head(hidden).log_softmax(-1)[wanted == END, END]
        for index, logprob in enumerate(last.tolist(), start=len(ended)):  # without the end
            scores[index] = (-nats[index] - logprob) / 3**0.6
        best = max(range(len(pairs)), key=scores.__getitem__)
        assert one.score == pytest.approx(scores[best], abs=1e-6)
        assert one.tokens == pairs[best].target


def test_batches_change_nothing() -> None:
    # In float64: in float32 a batch's other order of sums moves a score by up to 1e-5.
    network, pairs = tiny_network("pcformer:order=2").double(), token_pairs(7)
    sources = [pair.source for pair in pairs]
    one, all_ = (
        decode_sources(network, sources, BeamSettings(beam=3, max_new_tokens=6, batch=n), end=END)
        for n in (1, 32)
    )
    assert [x.tokens for x in one] == [x.tokens for x in all_]
    assert [x.score for x in one] == pytest.approx([x.score for x in all_], abs=1e-12)
    assert module.decode_sources(network, [], BeamSettings(), end=END) == []
