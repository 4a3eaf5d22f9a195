"""Pairs of tokens in one pass: loss for training, nats for measuring."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from burnish.arch.attend import WindowAttend
from burnish.kv.padded import PaddedAttend
from burnish.kv.rope import Rope
from burnish.models.head import logprobs_of
from burnish.models.seq2seq import Memory, Seq2Seq


@dataclass(frozen=True, kw_only=True)
class TokenPair:
    """A pair without its marks: an end token follows both, and stands before the target."""

    source: tuple[int, ...]
    target: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.source) + len(self.target) + 2

    @property
    def num_terms(self) -> int:
        """A step's loss is the mean over the targets' tokens, end tokens included."""
        return len(self.target) + 1

    @property
    def num_answer_tokens(self) -> int:
        """Tokens that are trained on."""
        return self.num_terms


def padded(
    sequences: Sequence[Sequence[int]], filling: int, device: torch.device
) -> tuple[Int[Tensor, "B T"], Bool[Tensor, "B T"]]:
    """Sequences padded on the right to one length, and which tokens are their own."""
    longest = max(map(len, sequences))
    rows = [[*one, *[filling] * (longest - len(one))] for one in sequences]
    lengths = torch.tensor([len(one) for one in sequences], device=device)
    seen = torch.arange(longest, device=device) < lengths[:, None]
    return torch.tensor(rows, device=device), seen


class Teacher:
    """Hidden rows that predict each target token, from the right tokens before it.

    `dropout` is that of embedded rows, where the network is in training mode.
    Source: ours. Oracle: tests/arch/seq2seq/test_forward.py::test_padded_equals_alone
    """

    def __init__(self, network: Seq2Seq, *, end: int, dropout: float = 0.0) -> None:
        self._rope, self._end, self._dropout = Rope(network.decoder.config), end, dropout

    def encode(self, network: Seq2Seq, sources: Sequence[Sequence[int]]) -> Memory:
        """The memory of sources without marks."""
        tokens, seen = padded([[*one, self._end] for one in sources], self._end, _place(network))
        return network.encode(self._embed(network, tokens), PaddedAttend(self._rope, seen), seen)

    def rows(
        self, network: Seq2Seq, pairs: Sequence[TokenPair]
    ) -> tuple[Float[Tensor, "R d"], Int[Tensor, " R"]]:
        """Hidden rows and wanted tokens, pair by pair."""
        memory = self.encode(network, [pair.source for pair in pairs])
        device = _place(network)
        inputs, seen = padded([[self._end, *pair.target] for pair in pairs], self._end, device)
        wanted, _ = padded([[*pair.target, self._end] for pair in pairs], self._end, device)
        windows = network.decoder.shape.windows
        causal = WindowAttend(self._rope, windows, begins=torch.zeros_like(seen))
        hidden = network.decode(self._embed(network, inputs), causal, memory)
        return hidden[seen.flatten()], wanted[seen]

    def _embed(self, network: Seq2Seq, tokens: Int[Tensor, "B T"]) -> Float[Tensor, "N d"]:
        return F.dropout(network.embed(tokens), self._dropout, network.training)


class TranslationLoss:
    """Sum of the cross-entropies [nats] of all target tokens, with smoothed labels.

    Source: arXiv 1512.00567, section 7, for the smoothing.
    Oracle: tests/arch/seq2seq/test_forward.py::test_padded_equals_alone
    """

    def __init__(
        self, network: Seq2Seq, *, end: int, dropout: float = 0.0, smoothing: float = 0.0
    ) -> None:
        self._teacher = Teacher(network, end=end, dropout=dropout)
        self._smoothing = smoothing

    def __call__(
        self, network: Seq2Seq, pairs: Sequence[TokenPair], /, *, weight: float = 1.0
    ) -> Float[Tensor, ""]:
        """The sum over all pairs, with its graph."""
        hidden, wanted = self._teacher.rows(network, pairs)
        logits = network.decoder.head(hidden).float()
        smoothing = self._smoothing
        return weight * F.cross_entropy(logits, wanted, reduction="sum", label_smoothing=smoothing)


@torch.no_grad()
def nats_of(network: Seq2Seq, pairs: Sequence[TokenPair], *, end: int) -> list[float]:
    """Nats of each pair's target tokens, its end token included.

    Source: ours. Oracle: tests/arch/seq2seq/test_forward.py::test_padded_equals_alone
    """
    hidden, wanted = Teacher(network, end=end).rows(network, pairs)
    found = -logprobs_of(network.decoder.head(hidden), wanted).double()
    return [float(one.sum()) for one in found.split([pair.num_terms for pair in pairs])]


def _place(network: Seq2Seq) -> torch.device:
    return network.decoder.lm_head.weight.device
