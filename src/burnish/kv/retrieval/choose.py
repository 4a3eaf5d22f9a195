"""Which far tokens a pass reads: scores of spans, and spans filled to a budget of tokens."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

QUERY_ROWS = 64  # whose products with the index exist at once


def best_products(
    query: Float[Tensor, "N H D"], vectors: Float[Tensor, "K vectors D"]
) -> Float[Tensor, "K G vectors"]:
    """Largest product of each query head's rows with each vector of its key head."""
    best: Tensor | None = None
    for rows in query.split(QUERY_ROWS):
        grouped = rows.unflatten(1, (len(vectors), -1)).permute(1, 2, 0, 3)  # [K G N D]
        products = (grouped.flatten(1, 2) @ vectors.mT).unflatten(1, grouped.shape[1:3])
        top = products.amax(2)
        best = top if best is None else torch.maximum(best, top)
    assert best is not None
    return best


def bound_products(
    query: Float[Tensor, "N H D"], low: Float[Tensor, "K spans D"], high: Float[Tensor, "K spans D"]
) -> Float[Tensor, "K G spans"]:
    """Upper bound of a query's product with any key of a page, from its least and largest cells.

    Source: Quest, arXiv 2406.10774, algorithm 1.
    Oracle: tests/kv/retrieval/test_choose.py::test_page_bounds_hold
    """
    best: Tensor | None = None
    for rows in query.split(QUERY_ROWS):
        grouped = rows.unflatten(1, (len(low), -1)).permute(1, 2, 0, 3).flatten(1, 2)
        both = grouped.clamp(min=0) @ high.mT + grouped.clamp(max=0) @ low.mT
        top = both.unflatten(1, (-1, len(rows))).amax(2)
        best = top if best is None else torch.maximum(best, top)
    assert best is not None
    return best


def of_spans(
    products: Float[Tensor, "K G vectors"], owner: Int[Tensor, " vectors"], num_spans: int
) -> Float[Tensor, "K G spans"]:
    """Best product among the vectors of each span."""
    size = (*products.shape[:2], num_spans)
    found = torch.full(size, float("-inf"), dtype=products.dtype, device=products.device)
    return found.scatter_reduce_(2, owner.expand_as(products), products, "amax")


def normalised(scores: Float[Tensor, "K G spans"], scale: float) -> Float[Tensor, "K spans"]:
    """Scores of a key head: each query head's softmax over the spans, summed over its group.

    Without it heads of large norm would decide alone.
    Source: ours; Ltri-LLM's scoring is unseen, InfLLM sums products.
    Oracle: tests/kv/retrieval/test_choose.py::test_large_heads_do_not_decide_alone
    """
    return (scores.float() * scale).softmax(-1).sum(1)


def ranked(
    fresh: np.ndarray, lengths: np.ndarray, shares: Sequence[tuple[np.ndarray, int]]
) -> np.ndarray:
    """Order of one head's spans: the best of each share up to its tokens, then by `fresh`.

    Source: ours. Oracle: tests/kv/retrieval/test_choose.py::test_shares_come_first
    """
    parts = []
    for scores, num_tokens in shares:
        order = np.argsort(-scores, kind="stable")
        parts.append(order[np.cumsum(lengths[order]) <= num_tokens])
    order = np.argsort(-fresh, kind="stable")
    if not parts:
        return order
    whole = np.concatenate([*parts, order])
    _, first = np.unique(whole, return_index=True)
    return whole[np.sort(first)]


def filled(
    order: np.ndarray, starts: np.ndarray, lengths: np.ndarray, num_tokens: int
) -> np.ndarray:
    """Tokens of the spans in their order until there are `num_tokens`, sorted.

    The last span gives its first tokens only, so that the budget is met to the token.
    Source: ours. Oracle: tests/kv/retrieval/test_choose.py::test_the_budget_is_met_to_the_token
    """
    ends = np.cumsum(lengths[order])
    num_spans = int(np.searchsorted(ends, num_tokens)) + 1
    picked, ends = order[:num_spans], ends[:num_spans]
    sizes = lengths[picked].copy()
    sizes[-1] -= max(0, int(ends[-1]) - num_tokens)
    first = np.repeat(starts[picked], sizes)
    within = np.arange(len(first)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.sort(first + within)
