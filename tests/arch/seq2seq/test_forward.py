"""Padded pairs against each pair alone, computed row by row with plain attention."""

import math
from typing import Any

import pytest
import torch
from fixtures.translating import BLOCKS, END, tiny_network, token_pairs

from burnish.arch.seq2seq import forward as module
from burnish.arch.seq2seq.forward import TranslationLoss, nats_of
from burnish.kv.padded import PaddedAttend


def check_alone(block: str) -> None:
    network, pairs = tiny_network(block), token_pairs()
    nats = nats_of(network, pairs, end=END)
    alone = [nats_of(network, [pair], end=END)[0] for pair in pairs]
    assert nats == pytest.approx(alone, rel=1e-5)
    loss = TranslationLoss(network, end=END)(network, pairs, weight=2.0)
    assert float(loss) == pytest.approx(2 * math.fsum(alone), rel=1e-5)


@pytest.mark.parametrize("block", BLOCKS)
def test_padded_equals_alone(block: str) -> None:
    check_alone(block)


def test_planted_padding_that_is_seen(monkeypatch: Any) -> None:
    monkeypatch.setattr(
        module, "PaddedAttend", lambda rope, seen: PaddedAttend(rope, torch.ones_like(seen))
    )
    with pytest.raises(AssertionError):
        check_alone("dense")


def test_targets_do_not_see_what_follows() -> None:
    """A later token changes no earlier row; a source token changes all of them."""
    network, (pair, *_) = tiny_network("pcformer:order=2"), token_pairs()[3:]
    teacher = module.Teacher(network, end=END)
    rows, wanted = teacher.rows(network, [pair])
    assert wanted.tolist() == [*pair.target, END]
    for place in range(len(pair.target)):
        changed = list(pair.target)
        changed[place] = 2 + (changed[place] - 1) % 20
        other, _ = teacher.rows(network, [type(pair)(source=pair.source, target=tuple(changed))])
        torch.testing.assert_close(other[: place + 1], rows[: place + 1])
        assert not torch.allclose(other[place + 1], rows[place + 1])
    source = (2 + (pair.source[0] - 1) % 20, *pair.source[1:])
    other, _ = teacher.rows(network, [type(pair)(source=source, target=pair.target)])
    assert ((other - rows).abs().amax(1) > 1e-4).all()


def test_dropout_and_smoothing() -> None:
    network, pairs = tiny_network(), token_pairs()
    plain = float(TranslationLoss(network, end=END)(network, pairs))
    dropped = TranslationLoss(network, end=END, dropout=0.5)
    assert float(dropped(network, pairs)) == plain  # in evaluation mode there is none
    network.train()
    torch.manual_seed(1)
    assert float(dropped(network, pairs)) != pytest.approx(plain, rel=1e-3)
    network.eval()
    smooth = TranslationLoss(network, end=END, smoothing=0.1)
    hidden, wanted = module.Teacher(network, end=END).rows(network, pairs)
    logprobs = network.decoder.head(hidden).log_softmax(-1)
    right = logprobs.gather(1, wanted[:, None]).sum()
    by_hand = -(0.9 * right + 0.1 * logprobs.mean(1).sum())
    assert float(smooth(network, pairs)) == pytest.approx(float(by_hand), rel=1e-5)
