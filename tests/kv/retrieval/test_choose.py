"""Scores of spans by brute force, and budgets met to the token."""

from typing import Any

import numpy as np
import pytest
import torch

from burnish.kv.retrieval import choose
from burnish.kv.retrieval.choose import (
    best_products,
    bound_products,
    filled,
    normalised,
    of_spans,
    ranked,
)


def draw(*size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed))


def check_products(found: Any) -> None:
    query, vectors = draw(9, 4, 5), draw(2, 7, 5, seed=1)
    products = found(query, vectors)
    for head in range(4):
        wanted = (query[:, head] @ vectors[head // 2].T).amax(0)
        torch.testing.assert_close(products[head // 2, head % 2], wanted)


def test_best_products_equal_brute_force(monkeypatch: pytest.MonkeyPatch) -> None:
    check_products(best_products)
    monkeypatch.setattr(choose, "QUERY_ROWS", 2)
    check_products(best_products)


def test_planted_mean_of_products() -> None:
    with pytest.raises(AssertionError):
        check_products(lambda q, v: best_products(q.mean(0, keepdim=True), v))


def check_bounds(low: torch.Tensor, high: torch.Tensor, keys: torch.Tensor) -> None:
    query = draw(6, 4, 5, seed=3)
    bound = bound_products(query, low, high)
    for head in range(4):
        products = torch.einsum("nd,spd->nsp", query[:, head], keys[head // 2]).amax((0, 2))
        assert bool((bound[head // 2, head % 2] >= products - 1e-5).all())


def test_page_bounds_hold() -> None:
    keys = draw(2, 8, 4, 5, seed=2)  # 8 pages of 4 tokens
    check_bounds(keys.amin(2), keys.amax(2), keys)
    one = keys[:, :, :1]
    exact = bound_products(draw(1, 2, 5), one[:, :, 0], one[:, :, 0])
    wanted = torch.einsum("hd,hsd->hs", draw(1, 2, 5)[0], one[:, :, 0])
    torch.testing.assert_close(exact[:, 0], wanted)


def test_planted_bounds_by_the_mean() -> None:
    keys = draw(2, 8, 4, 5, seed=2)
    with pytest.raises(AssertionError):
        check_bounds(keys.mean(2), keys.mean(2), keys)


def test_spans_take_the_best_of_their_vectors() -> None:
    products = torch.tensor([[[1.0, 5.0, 2.0, 4.0]]])
    found = of_spans(products, torch.tensor([0, 0, 2, 1]), 3)
    assert found.tolist() == [[[5.0, 4.0, 2.0]]]


def check_heads(found: Any) -> None:
    loud = torch.tensor([900.0, 930.0, 0.0])  # a head of large norm
    quiet = torch.tensor([10.0, 0.0, 0.0])
    assert int(found(torch.stack((loud, quiet, quiet))[None], 1.0)[0].argmax()) == 0


def test_large_heads_do_not_decide_alone() -> None:
    check_heads(normalised)


def test_planted_sum_of_products() -> None:
    with pytest.raises(AssertionError):
        check_heads(lambda scores, scale: (scores * scale).sum(1))


def check_filled(found: Any) -> None:
    source = np.random.default_rng(0)
    for _ in range(50):
        lengths = source.integers(1, 7, 9)
        starts = np.cumsum(lengths) - lengths
        order = source.permutation(9)
        num = int(source.integers(1, lengths.sum() + 1))
        wanted: list[int] = []
        for span in order:
            wanted += range(starts[span], starts[span] + lengths[span])
        assert found(order, starts, lengths, num).tolist() == sorted(wanted[:num])


def test_the_budget_is_met_to_the_token() -> None:
    check_filled(filled)


def test_planted_last_span_whole() -> None:
    def whole(order: Any, starts: Any, lengths: Any, num: int) -> Any:
        spans = order[: int(np.searchsorted(np.cumsum(lengths[order]), num)) + 1]
        return np.sort(
            np.concatenate([np.arange(starts[s], starts[s] + lengths[s]) for s in spans])
        )

    with pytest.raises(AssertionError):
        check_filled(whole)


def test_shares_come_first() -> None:
    fresh, lengths = np.array([5.0, 4.0, 3.0, 2.0]), np.array([4, 4, 4, 4])
    kept = np.array([0.0, 0.0, 1.0, 2.0])
    assert ranked(fresh, lengths, []).tolist() == [0, 1, 2, 3]
    assert ranked(fresh, lengths, [(kept, 7)]).tolist() == [3, 0, 1, 2]
    assert ranked(fresh, lengths, [(kept, 8)]).tolist() == [3, 2, 0, 1]
    assert ranked(fresh, lengths, [(kept, 0)]).tolist() == ranked(fresh, lengths, []).tolist()
