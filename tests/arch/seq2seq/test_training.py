"""The order of pairs, and the one loop over them."""

from collections import Counter
from typing import Any

import pytest
import torch
from fixtures.translating import END, tiny_network, tiny_seq2seq, token_pairs

from burnish.arch.seq2seq import training as module
from burnish.arch.seq2seq.forward import TranslationLoss, nats_of
from burnish.arch.seq2seq.training import fitting, in_passes, make_training, measure_pairs
from burnish.base.errors import InputError
from burnish.train.loop import run_training

PAIRS = token_pairs(11)


def check_order() -> None:
    settings = tiny_seq2seq("x", steps=None, epochs=2, pairs_per_step=4, pass_tokens=25)
    source = module.pair_steps(PAIRS, settings)
    assert source.num_steps == 6
    batches = [source.take() for _ in range(6)]
    assert [sum(len(p.items) for p in b.passes) for b in batches] == [4, 4, 3] * 2
    epochs = [[one for b in batches[i : i + 3] for p in b.passes for one in p.items]
              for i in (0, 3)]  # fmt: skip
    assert Counter(epochs[0]) == Counter(epochs[1]) == Counter(PAIRS)
    assert epochs[0] != epochs[1]
    assert all(p.num_rows <= 25 for b in batches for p in b.passes)
    assert batches[0].num_terms == sum(one.num_terms for p in batches[0].passes for one in p.items)


def test_each_pair_once_an_epoch() -> None:
    check_order()


def test_planted_order_that_stays(monkeypatch: Any) -> None:
    exact = module.stream
    monkeypatch.setattr(module, "stream", lambda seed, name, epoch: exact(seed, name, 0))
    with pytest.raises(AssertionError):
        check_order()


def test_lengths() -> None:
    by_length = [one for some in in_passes(PAIRS, 30) for one in some]
    assert [len(p.target) for p in by_length] == sorted(len(p.target) for p in PAIRS)
    assert all(max(len(p.source), len(p.target)) <= 4 for p in fitting(PAIRS, 4, "training"))
    with pytest.raises(InputError, match="held-out pairs must contain one of at most 0 tokens"):
        fitting(PAIRS[1:], 0, "held-out")
    network = tiny_network()
    nats = measure_pairs(network, PAIRS, end=END)
    assert nats == pytest.approx([nats_of(network, [p], end=END)[0] for p in PAIRS], rel=1e-5)


def test_one_step_is_the_gradient_of_the_mean(tmp_path: Any) -> None:
    """Adam's first step, by hand: the sign of the gradient times the rate."""
    changes = {"optimizer": "adamw", "steps": 1, "pairs_per_step": 11, "warmup_frac": 0.0}
    changes |= {"weight_decay": 0.0, "pass_tokens": 25, "schedule": "constant", "dropout": 0.0}
    settings = tiny_seq2seq("x", **changes)
    network, other = tiny_network("pcformer:order=2"), tiny_network("pcformer:order=2")
    for one in (network, other):
        one.requires_grad_(True).train()
    training = make_training(settings, network, PAIRS, END)
    done = run_training(training, checkpoint=tmp_path / "s.pt")
    loss = TranslationLoss(other, end=END, smoothing=0.1)(other, PAIRS)
    terms = sum(p.num_terms for p in PAIRS)
    assert done.losses[0] == pytest.approx(float(loss.detach()) / terms, rel=1e-5)
    loss.backward()
    for (name, new), old in zip(network.named_parameters(), other.parameters(), strict=True):
        assert old.grad is not None
        large = old.grad.abs() > 1e-3 * terms
        step = (new - old).detach()[large]
        torch.testing.assert_close(step, -settings.learning_rate * old.grad[large].sign(),
                                   atol=3e-5, rtol=0.02, msg=name)  # fmt: skip
