"""BLEU against sacreBLEU's own corpus score; the interval; the message without the package."""

from typing import Any

import numpy as np
import pytest

from burnish.arch.seq2seq import bleu as module
from burnish.arch.seq2seq.bleu import bleu_of, check_extra, corpus_bleu
from burnish.base.errors import MissingExtraError

RNG = np.random.default_rng(3)
WORDS = [f"w{i}" for i in range(9)]
REFERENCES = [" ".join(RNG.choice(WORDS, RNG.integers(1, 12))) + "." for _ in range(60)]
HYPOTHESES = [
    " ".join(w if RNG.random() < 0.8 else "x" for w in text.split()) for text in REFERENCES
]


def check_sums() -> None:
    """The corpus BLEU is that of summed counts: what the resampling draws is the same number."""
    from sacrebleu.metrics.bleu import BLEU

    whole = BLEU().corpus_score(HYPOTHESES, [REFERENCES]).score
    counts = np.array([module._counts(*pair) for pair in zip(HYPOTHESES, REFERENCES, strict=True)])
    assert bleu_of(counts.sum(0)) == pytest.approx(whole, abs=1e-9)
    found = corpus_bleu(HYPOTHESES, REFERENCES, seed=1)
    assert found["value"] == pytest.approx(whole, abs=1e-9)
    assert found["low"] < whole < found["high"] and found["n"] == 60
    assert found["low"] > 20 and found["high"] - found["low"] < 25
    assert "tok:13a" in found["signature"]


def test_equals_sacrebleu() -> None:
    check_sums()
    assert corpus_bleu(REFERENCES, REFERENCES, seed=1)["value"] == pytest.approx(100)
    assert corpus_bleu(["x", "y"], ["a", "b"], seed=1)["value"] == 0
    few, right = ["a b x c d", "a b c x y"], ["a b y c d"] * 2  # no four in a row: smoothed
    counts = [module._counts(*pair) for pair in zip(few, right, strict=True)]
    whole = corpus_bleu(few, right, seed=1)["value"]
    assert bleu_of(np.array(counts).sum(0)) == pytest.approx(whole) and whole > 0


def test_planted_mean_of_sentences(monkeypatch: Any) -> None:
    exact = module._counts
    monkeypatch.setattr(module, "_counts", lambda h, r: [min(c, 1) for c in exact(h, r)])
    with pytest.raises(AssertionError):
        check_sums()


def test_without_the_package(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError) as caught:
        check_extra()
    assert str(caught.value) == (
        "BLEU needs one more package, got 'sacrebleu'. Run pip install \"burnish[translate]\", or "
        "measure likelihood: --set bleu=false."
    )
