"""Far tokens by estimated attention: spans by their index, then tokens by their own keys."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from burnish.kv.grouped import grouped_scores
from burnish.kv.retrieval.choose import of_spans

QUERY_ROWS = 64  # of a pass, by which far tokens are chosen
MOST_PRODUCTS = 1 << 18  # rows times vectors, for each head of a long pass
LEAST_ROWS = 4  # of a long pass, however long the index
MOST_SCORES = 1 << 22  # scores held in memory at a time
BLOCK_VECTORS = 4096  # vectors dequantised at a time


def sampled(num_rows: int, num_vectors: int) -> Int[Tensor, " N"]:
    """Rows by which a pass chooses: all of a short one, else evenly spaced with the last.

    Fewer where the index is long, so that reading a text costs the same for each of its tokens.
    Source: ours. Oracle: tests/kv/retrieval/test_tokens.py::test_a_longer_index_meets_fewer_rows
    """
    if num_rows <= QUERY_ROWS:
        return torch.arange(num_rows)
    num = max(LEAST_ROWS, min(QUERY_ROWS, MOST_PRODUCTS // max(1, num_vectors)))
    return torch.linspace(0, num_rows - 1, num).round().long()


@dataclass(frozen=True, kw_only=True)
class Vectors:
    """Vectors of an index, made for use: `load(first, end)` gives `[K end-first D]`.

    Neither all of them nor all scores exist at once, so that a longer text needs no more memory.
    Source: ours. Oracle: tests/kv/retrieval/test_tokens.py::test_scores_at_once_are_few
    """

    num: int
    load: Callable[[int, int], Tensor]

    @classmethod
    def of(cls, vectors: Float[Tensor, "K V D"]) -> "Vectors":
        """Vectors that are at hand."""
        return cls(num=vectors.shape[1], load=lambda first, end: vectors[:, first:end])

    def scores(self, query: Float[Tensor, "N H D"]) -> Iterator[Float[Tensor, "K G R V"]]:
        """Scaled products of a few rows at a time with all vectors, in fp32."""
        for rows in query.split(max(1, MOST_SCORES // max(1, query.shape[1] * self.num))):
            yield torch.cat(
                [
                    grouped_scores(rows, self.load(a, min(a + BLOCK_VECTORS, self.num))).float()
                    for a in range(0, self.num, BLOCK_VECTORS)
                ],
                dim=-1,
            )


def span_shares(
    query: Float[Tensor, "N H D"],
    vectors: Vectors,
    owner: Int[Tensor, " V"],
    lengths: np.ndarray,
) -> Float[Tensor, "K spans"]:
    """Estimated attention to each token of a span, summed over a key head's queries.

    The mean of exp(score) over a span's vectors stands for all its tokens.
    Source: ours. Oracle: tests/kv/retrieval/test_tokens.py::test_shares_of_a_full_index_are_exact
    """
    sizes = torch.from_numpy(lengths).to(query.device).float()
    counts = torch.bincount(owner, minlength=len(sizes)).clamp(min=1)
    shares = []
    for scores in vectors.scores(query):
        each = scores.sub_(scores.amax(-1, keepdim=True)).exp_()
        mean = each.new_zeros((*each.shape[:3], len(sizes))).index_add_(3, owner, each) / counts
        shares.append((mean / (mean @ sizes)[..., None]).sum((1, 2)))
    return torch.stack(shares).sum(0)


def box_shares(
    query: Float[Tensor, "N H D"],
    low: Float[Tensor, "K spans D"],
    high: Float[Tensor, "K spans D"],
) -> Float[Tensor, "K spans"]:
    """The same, where all tokens of a span count as the largest score that its box allows.

    Source: Quest, arXiv 2406.10774, algorithm 1.
    Oracle: tests/kv/retrieval/test_tokens.py::test_boxes_of_one_key_are_exact
    """
    scores = grouped_scores(query.clamp(min=0), high) + grouped_scores(query.clamp(max=0), low)
    return scores.float().softmax(-1).sum((1, 2))


def best_tokens(
    query: Float[Tensor, "N H D"],
    keys: Float[Tensor, "K C D"],
    found: Int[Tensor, "K C"],
    sure: list[np.ndarray],
    num_tokens: int,
) -> Int[Tensor, "K M"]:
    """Of the candidates `found`, with those keys, the best by attention, behind the sure ones.

    Source: ours. Oracle: tests/kv/retrieval/test_tokens.py::test_all_candidates_give_the_oracle
    """
    shares = grouped_scores(query, keys).float().softmax(-1).sum((1, 2)).cpu()
    rows = []
    for own, tokens, first in zip(shares, found, sure, strict=True):
        taken = torch.from_numpy(first)
        left = own.masked_fill(torch.isin(tokens, taken), -1.0)
        top = tokens[left.topk(num_tokens - len(first)).indices]
        rows.append(torch.cat((taken, top)).sort().values)
    return torch.stack(rows)


def head_votes(
    query: Float[Tensor, "N H D"],
    vectors: Vectors,
    owner: Int[Tensor, " V"],
    lengths: np.ndarray,
) -> Float[Tensor, "H T"]:
    """Votes of each query head for far tokens, their sum 1, by keys that are not rotated.

    Without rotation a head votes by content alone: a retrieval head finds what was asked for at
    any distance.
    Source: ours, for Ltri-LLM's retrieval-head voting, arXiv 2412.04757 (details unseen).
    Oracle: tests/kv/retrieval/test_tokens.py::test_votes_by_brute_force
    """
    votes = [
        of_spans(scores.flatten(0, 1), owner, len(lengths)).softmax(-1).sum(1)
        for scores in vectors.scores(query)
    ]
    best = torch.stack(votes).sum(0)
    tokens = best.repeat_interleave(torch.from_numpy(lengths).to(best.device), dim=1)
    return tokens / tokens.sum(-1, keepdim=True)
