"""Beam search over tables of probabilities, beside every sequence that there is."""

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from burnish.arch.seq2seq import beam as module
from burnish.arch.seq2seq.beam import beam_search, cut
from burnish.arch.seq2seq.settings import BeamSettings
from burnish.base.errors import SettingError

END, VOCAB, LONGEST = 0, 3, 4


class Tables:
    """Log-probabilities that depend on all that was written, a table for each text."""

    def __init__(self, num_texts: int, beam: int, seed: int) -> None:
        self._seed, self._beam = seed, beam
        self._rows: list[tuple[int, ...]] = [()] * (num_texts * beam)
        self._first = True

    def of(self, text: int, written: tuple[int, ...]) -> Tensor:
        source = torch.Generator().manual_seed(hash((self._seed, text, written)) % 2**40)
        return (1.5 * torch.randn(VOCAB, generator=source).double()).log_softmax(-1)

    def __call__(self, tokens: Tensor, sources: Tensor) -> Tensor:
        if not self._first:  # the first token is what stands before every text
            pairs = zip(sources.tolist(), tokens.tolist(), strict=True)
            self._rows = [(*self._rows[source], token) for source, token in pairs]
        self._first = False
        return torch.stack([self.of(i // self._beam, row) for i, row in enumerate(self._rows)])


def exhaustive(tables: Tables, text: int, penalty: float) -> tuple[float, tuple[int, ...]]:
    """The best of all sequences that end, or are as long as they may be."""
    found = []
    for length in range(1, LONGEST + 1):
        for tokens in itertools.product(range(VOCAB), repeat=length):
            if END in tokens[:-1] or (tokens[-1] != END and length < LONGEST):
                continue
            total = sum(
                float(tables.of(text, tokens[:place])[token]) for place, token in enumerate(tokens)
            )
            found.append((total / length**penalty, tokens))
    return max(found)


def check_exhaustive() -> None:
    for seed, penalty in itertools.product(range(12), (0.0, 0.6, 1.5)):
        settings = BeamSettings(beam=60, length_penalty=penalty, max_new_tokens=LONGEST)
        found = beam_search(Tables(2, 60, seed), 2, settings, end=END)
        for text, one in enumerate(found):
            score, tokens = exhaustive(Tables(2, 60, seed), text, penalty)
            assert one.score == pytest.approx(score, abs=1e-12)
            assert (*one.tokens, *([END] if one.ended else [])) == tokens
            length = len(tokens)
            assert one.logprob_nats == pytest.approx(score * length**penalty, abs=1e-12)


def test_wide_beam_is_exhaustive() -> None:
    check_exhaustive()


@pytest.mark.parametrize("bug", ["bound", "penalty", "order"])
def test_planted_bugs(bug: str, monkeypatch: Any) -> None:
    """Stops as if a row could not become longer; no penalty; rows that keep their place."""
    search = module._Search
    if bug == "bound":
        monkeypatch.setattr(
            search, "_bound", lambda self: self.scores / self._penalty(self.written.shape[2])
        )
    elif bug == "penalty":
        monkeypatch.setattr(search, "_penalty", lambda self, length: 1.0)
    else:
        exact = search.extend

        def still(self: Any, logprobs: Tensor) -> None:
            before = self.sources.clone()
            exact(self, logprobs)
            self.sources = before

        monkeypatch.setattr(search, "extend", still)
    with pytest.raises(AssertionError):
        check_exhaustive()


def check_greedy(beam: int) -> None:
    for seed, penalty in itertools.product(range(20), (0.0, 2.0)):
        settings = BeamSettings(beam=beam, length_penalty=penalty, max_new_tokens=LONGEST)
        (found,) = beam_search(Tables(1, beam, seed), 1, settings, end=END)
        tables, tokens = Tables(1, 1, seed), list[int]()
        while END not in tokens and len(tokens) < LONGEST:
            tokens.append(int(tables.of(0, tuple(tokens)).argmax()))
        assert found.tokens == tuple(t for t in tokens if t != END)
        assert found.ended == (END in tokens)


def test_beam_of_one_is_greedy() -> None:
    check_greedy(1)


def test_planted_wider_beam_is_not_greedy() -> None:
    with pytest.raises(AssertionError):
        check_greedy(2)


def test_wider_beams_score_no_worse_here() -> None:
    """Not a law, but on these tables the means are in order."""
    means = []
    for beam in (1, 2, 8):
        settings = BeamSettings(beam=beam, max_new_tokens=LONGEST)
        scores = [beam_search(Tables(1, beam, s), 1, settings, end=END)[0].score for s in range(30)]
        means.append(sum(scores) / 30)
    assert means[0] < means[1] <= means[2]


def test_settings_and_batches() -> None:
    wrong: list[dict[str, Any]] = [{"beam": 0}, {"length_penalty": -1}, {"max_new_tokens": 0}]
    for given in (*wrong, {"length_penalty": math.nan}, {"batch": 0}):
        with pytest.raises(SettingError):
            BeamSettings(**given)
    texts = [[1], [1, 2, 3], [1, 2], [1, 2, 3]]
    assert cut(texts, 3) == [[1, 3, 2], [0]]
