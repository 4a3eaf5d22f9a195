"""Ways to cut tokens that leave the local window into spans."""

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from burnish.kv.retrieval.spans import (
    Bounds,
    best_spans,
    calibrate_theta,
    greedy_spans,
    triangle_scores,
)

LEAST_ROWS = 256  # of attention, from which a threshold is calibrated


@dataclass(frozen=True, kw_only=True)
class Pending:
    """Tokens behind the last span: `num_tokens` may leave, `band` has rows behind them too.

    `surprise` [nats] is that of the tokens in `band`; NaN where nobody told it.
    """

    band: np.ndarray
    num_tokens: int
    theta: float | None
    surprise: np.ndarray
    seed: int


@runtime_checkable
class Segmenter(Protocol):
    """Cuts pending tokens; what it leaves at the end stays in the local window."""

    @property
    def batch_tokens(self) -> int:
        """Fewest pending tokens for which it is asked."""
        ...

    @property
    def band_tokens(self) -> int:
        """How far back local attention is kept; at least 1."""
        ...

    def calibrated(self, band: np.ndarray) -> float | None:
        """A threshold from the first rows of a layer's attention; None if it needs none."""
        ...

    def cut(self, pending: Pending) -> Bounds:
        """Spans from the first pending token on, without gaps."""
        ...


@dataclass(frozen=True, kw_only=True)
class Triangles:
    """Spans of high triangle score; one that would pass the edge stays open.

    Source: Ltri-LLM, arXiv 2412.04757; reconstruction.
    Oracle: tests/kv/retrieval/test_segment.py::test_a_span_across_the_edge_stays_open
    """

    how: Literal["greedy", "best"]
    theta: float | None
    least_tokens: int
    most_tokens: int
    mean_tokens: float
    shuffled: bool = False

    @property
    def batch_tokens(self) -> int:
        """One longest span: something can always be closed."""
        return self.most_tokens

    @property
    def band_tokens(self) -> int:
        """The longest span."""
        return self.most_tokens

    def calibrated(self, band: np.ndarray) -> float | None:
        """What was given, else the threshold that gives spans of the wanted mean length."""
        if self.theta is not None:
            return self.theta
        return calibrate_theta(
            band, self._find, least=self.least_tokens, most=self.most_tokens,
            mean_tokens=self.mean_tokens,
        )  # fmt: skip

    def cut(self, pending: Pending) -> Bounds:
        """The spans that end among the tokens that may leave."""
        assert pending.theta is not None
        scores = triangle_scores(pending.band, pending.theta)
        piece = max(1, round(self.mean_tokens))
        found = self._find(scores, self.least_tokens, self.most_tokens, piece)
        closed = [(first, end) for first, end in found if end <= pending.num_tokens]
        if not self.shuffled:
            return closed
        order = np.random.default_rng(pending.seed).permutation(len(closed))
        ends = np.cumsum([closed[i][1] - closed[i][0] for i in order]).tolist()
        return list(zip([0, *ends[:-1]], ends, strict=True))

    def _find(self, scores: np.ndarray, least: int, most: int, piece: int) -> Bounds:
        find = greedy_spans if self.how == "greedy" else best_spans
        return find(scores, least, most, piece)


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """Spans of one length.

    Source: InfLLM, arXiv 2402.04617, blocks.
    Oracle: tests/kv/retrieval/test_memory.py::test_blocks_equal_infllm_in_float64
    """

    size: int

    @property
    def batch_tokens(self) -> int:
        """One piece."""
        return self.size

    @property
    def band_tokens(self) -> int:
        """A piece: what its index vectors are chosen by."""
        return self.size

    def calibrated(self, band: np.ndarray) -> float | None:
        """Nothing to calibrate."""
        return None

    def cut(self, pending: Pending) -> Bounds:
        """All whole pieces."""
        ends = range(self.size, pending.num_tokens + 1, self.size)
        return [(end - self.size, end) for end in ends]


@dataclass(frozen=True, kw_only=True)
class Surprises:
    """A span ends before a token that surprises: above mean plus `gamma` deviations.

    Mean and deviation are those of the latest `window_tokens` before it.
    Source: EM-LLM, arXiv 2407.09450, equation 1; lengths as in its configurations.
    Departure: boundaries are not refined by modularity (its shipped configurations do not either).
    Oracle: tests/kv/retrieval/test_segment.py::test_surprising_tokens_begin_spans
    """

    gamma: float
    least_tokens: int
    most_tokens: int
    window_tokens: int

    @property
    def batch_tokens(self) -> int:
        """One longest span."""
        return self.most_tokens

    @property
    def band_tokens(self) -> int:
        """The longest span."""
        return self.most_tokens

    def calibrated(self, band: np.ndarray) -> float | None:
        """The threshold moves with the text."""
        return None

    def cut(self, pending: Pending) -> Bounds:
        """Spans that end among the tokens that may leave."""
        values, bounds, first = pending.surprise, Bounds(), 0
        for at in range(1, pending.num_tokens + 1):
            size = at - first
            before = values[max(0, at - self.window_tokens) : at]
            before = before[~np.isnan(before)]
            now = values[at] if at < len(values) else np.nan
            high = len(before) > 1 and now > before.mean() + self.gamma * before.std()
            if size == self.most_tokens or (high and size >= self.least_tokens):
                bounds.append((first, at))
                first = at
        return bounds
