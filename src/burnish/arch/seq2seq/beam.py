"""Beam search: hypotheses by log-probability over a power of their length."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from burnish.arch.seq2seq.settings import BeamSettings


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """A written text, without its end token. `ended`: it has one; else it was cut."""

    tokens: tuple[int, ...]
    logprob_nats: float
    score: float
    ended: bool


@runtime_checkable
class NextStep(Protocol):
    """Gives each row of the beam its token, after the rows were put in the order of `sources`."""

    def __call__(
        self, tokens: Int[Tensor, " N"], sources: Int[Tensor, " N"]
    ) -> Float[Tensor, "N V"]:
        """Log-probabilities of what follows; row i is now what row `sources[i]` was."""
        ...


def beam_search(
    step: NextStep, num_texts: int, settings: BeamSettings, *, end: int
) -> list[Hypothesis]:
    """The best hypothesis of each text; every row begins with the token `end`.

    The best `beam` continuations of all rows of a text go on. One that ends leaves its place empty,
    so that a beam of 1 is greedy decoding. A text is done when no row can beat its best ended
    hypothesis any more, however long it becomes.
    Source: Sutskever et al. 2014, arXiv 1409.3215, section 3.2; the power of the length as in
    fairseq's `lenpen`. Oracle: tests/arch/seq2seq/test_beam.py::test_wide_beam_is_exhaustive
    """
    search = _Search(num_texts, settings, end)
    while search.live.any() and search.written.shape[2] < settings.max_new_tokens:
        logprobs = step(search.tokens.flatten(), search.sources.flatten())
        search.extend(logprobs.double().unflatten(0, (num_texts, -1)))
    return search.best()


class _Search:
    """The rows of all beams, and the hypotheses that have ended."""

    def __init__(self, num_texts: int, settings: BeamSettings, end: int) -> None:
        self._settings, self._end = settings, end
        shape = (num_texts, settings.beam)
        self.scores = torch.full(shape, -math.inf, dtype=torch.double)
        self.scores[:, 0] = 0.0
        self.tokens = torch.full(shape, end)
        self._firsts = torch.arange(num_texts)[:, None] * settings.beam
        self.sources = self._firsts + torch.arange(settings.beam)
        self.written = torch.empty((*shape, 0), dtype=torch.long)
        self._ended: list[Hypothesis | None] = [None] * num_texts

    @property
    def live(self) -> Bool[Tensor, "B W"]:
        """Which places hold a hypothesis that may go on."""
        return self.scores.isfinite()

    def extend(self, logprobs: Float[Tensor, "B W V"]) -> None:
        """Keep the best continuations; set aside those that end."""
        found = (self.scores[..., None] + logprobs).flatten(1)
        self.scores, places = found.topk(self._settings.beam, dim=1)
        parents, self.tokens = places // logprobs.shape[2], places % logprobs.shape[2]
        before = self.written.gather(1, parents[..., None].expand(-1, -1, self.written.shape[2]))
        self.written = torch.cat([before, self.tokens[..., None]], dim=2)
        self.sources = self._firsts + parents
        ends = (self.tokens == self._end) & self.live
        for text, place in ends.nonzero().tolist():
            self._keep(text, place, ended=True)
        self.scores = self.scores.masked_fill(ends, -math.inf)
        best = [-math.inf if one is None else one.score for one in self._ended]
        settled = self._bound() <= torch.tensor(best)[:, None]
        self.scores = self.scores.masked_fill(settled, -math.inf)

    def best(self) -> list[Hypothesis]:
        """Each text's best; rows that were cut count as they are."""
        for text, place in self.live.nonzero().tolist():
            self._keep(text, place, ended=False)
        return [one for one in self._ended if one is not None]

    def _bound(self) -> Float[Tensor, "B W"]:
        """Upper bound on a row's score: no further loss, at the best permitted length."""
        return self.scores / self._penalty(self._settings.max_new_tokens)

    def _keep(self, text: int, place: int, *, ended: bool) -> None:
        tokens, logprob = self.written[text, place].tolist(), float(self.scores[text, place])
        score, known = logprob / self._penalty(len(tokens)), self._ended[text]
        if known is None or score > known.score:
            own = tuple(tokens[:-1] if ended else tokens)
            self._ended[text] = Hypothesis(
                tokens=own, logprob_nats=logprob, score=score, ended=ended
            )

    def _penalty(self, length: int) -> float:
        return length**self._settings.length_penalty


def cut(items: Sequence[Sequence[int]], size: int) -> list[list[int]]:
    """Indices in batches of texts of similar length, longest first."""
    order = sorted(range(len(items)), key=lambda index: (-len(items[index]), index))
    return [order[begin : begin + size] for begin in range(0, len(order), size)]
