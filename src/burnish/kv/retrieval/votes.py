"""Votes of heads for far tokens, over the layers of a pass and from pass to pass."""

from dataclasses import dataclass, field, replace

import numpy as np


@dataclass(frozen=True, kw_only=True, eq=False)
class Votes:
    """`values[t]`: the mean vote for far token t in earlier passes, where later tokens count more.

    `keep`: what a vote keeps of its weight from token to token; with 0 only the last pass counts.
    Layers have other spans, so votes are for tokens. A layer sees the votes of lower layers in this
    pass and those of all layers in earlier ones: no vote comes from what a layer feeds.
    Source: Ltri-LLM, arXiv 2412.04757, retrieval-head voting; the form is ours (unseen).
    Oracle: tests/kv/retrieval/test_votes.py::test_weights_by_hand
    """

    keep: float
    values: np.ndarray = field(default_factory=lambda: np.zeros(0))
    fresh: np.ndarray = field(default_factory=lambda: np.zeros(0))
    num_heads: int = 0

    def opened(self) -> "Votes":
        """At the begin of a pass."""
        return replace(self, fresh=np.zeros(0), num_heads=0)

    def with_votes(self, votes: np.ndarray, num_heads: int) -> "Votes":
        """With the votes of one more layer's heads, summed."""
        return replace(self, fresh=_sum(self.fresh, votes), num_heads=self.num_heads + num_heads)

    def closed(self, num_rows: int) -> "Votes":
        """After a pass over `num_rows` tokens."""
        weight = self.keep**num_rows
        if self.num_heads == 0:
            return self.opened()
        now = self.fresh / self.num_heads
        return replace(self.opened(), values=_sum(weight * self.values, (1 - weight) * now))

    def restored(self, values: np.ndarray) -> "Votes":
        """With the values of a saved memory."""
        return replace(self, values=values)

    @property
    def now(self) -> np.ndarray:
        """What a layer sees: earlier passes, and the lower layers of this one."""
        return _sum(self.values, self.fresh / max(1, self.num_heads))

    def best(self, size: int, num_tokens: int) -> np.ndarray:
        """The tokens below `size` with most votes, earlier ones first; none without votes."""
        now = self.now[:size] if num_tokens else np.zeros(0)
        if not now.any():
            return np.zeros(0, dtype=np.int64)
        if num_tokens >= len(now):
            return np.arange(len(now))
        least = np.partition(now, len(now) - num_tokens)[len(now) - num_tokens]
        above, equal = np.flatnonzero(now > least), np.flatnonzero(now == least)
        return np.sort(np.concatenate((above, equal[: num_tokens - len(above)])))

    def of_spans(self, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray | None:
        """Mean vote of each span's tokens; None without votes."""
        size = int(starts[-1] + lengths[-1])
        votes = _sum(self.now[:size], np.zeros(size))
        if not votes.any():
            return None
        sums = np.concatenate(([0.0], np.cumsum(votes)))
        return (sums[starts + lengths] - sums[starts]) / lengths


def _sum(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    total = np.zeros(max(len(first), len(second)))
    total[: len(first)] += first
    total[: len(second)] += second
    return total
