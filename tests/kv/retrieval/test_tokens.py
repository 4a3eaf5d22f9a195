"""Two stages of the choice by tokens, against brute force."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from burnish.kv.retrieval import tokens as module
from burnish.kv.retrieval.tokens import (
    Vectors,
    best_tokens,
    box_shares,
    head_votes,
    sampled,
    span_shares,
)

LENGTHS = np.array([3, 1, 5, 4])
OWNER = torch.arange(4).repeat_interleave(torch.from_numpy(LENGTHS))


def drawn(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Queries `[3 4 5]` and keys `[2 13 5]`."""
    source = torch.Generator().manual_seed(seed)
    query = torch.randn((3, 4, 5), generator=source)
    return query, 2 * torch.randn((2, 13, 5), generator=source)


def exact(query: Tensor, keys: Tensor) -> np.ndarray:
    """Attention to each key, summed over rows and the heads of a group: `[2 13]`."""
    found = np.zeros((2, keys.shape[1]))
    for head in range(4):
        for row in range(3):
            scores = np.exp(keys[head // 2].numpy() @ query[row, head].numpy() / np.sqrt(5))
            found[head // 2] += scores / scores.sum()
    return found


@pytest.mark.parametrize("most", [1, 2 * 4 * 13, 1 << 22])
def test_shares_of_a_full_index_are_exact(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all rows at once, with two and one, and one by one."""
    monkeypatch.setattr(module, "MOST_SCORES", most)
    monkeypatch.setattr(module, "BLOCK_VECTORS", min(most, 4096))
    query, keys = drawn()
    found = span_shares(query, Vectors.of(keys), OWNER, LENGTHS)
    wanted = np.add.reduceat(exact(query, keys), [0, 3, 4, 9], axis=1) / LENGTHS
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5)


def test_boxes_of_one_key_are_exact() -> None:
    query, keys = drawn()
    np.testing.assert_allclose(box_shares(query, keys, keys), exact(query, keys), rtol=1e-5)


def check_oracle() -> None:
    query, keys = drawn(1)
    everything = torch.arange(13).expand(2, -1)
    sure = [np.array([2, 7]), np.array([], dtype=int)]
    found = best_tokens(query, keys, everything, sure, 6)
    for head, shares in enumerate(exact(query, keys)):
        shares[sure[head]] = np.inf
        assert found[head].tolist() == sorted(np.argsort(-shares)[:6].tolist())


def test_all_candidates_give_the_oracle() -> None:
    check_oracle()


def test_planted_scores_of_other_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = module.grouped_scores
    monkeypatch.setattr(module, "grouped_scores", lambda q, k: scores(q, k).flip(0))
    with pytest.raises(AssertionError):
        check_oracle()


def check_votes(votes: Any) -> None:
    query, keys = drawn(2)
    picked = torch.tensor([0, 2, 3, 5, 8, 10])  # tokens with a vector
    found = votes(query, Vectors.of(keys[:, picked]), OWNER[picked], LENGTHS)
    for head in range(4):
        wanted = np.zeros(13)
        for row in range(3):
            best = np.full(4, -np.inf)
            for token in picked.tolist():
                score = float(keys[head // 2, token] @ query[row, head]) / np.sqrt(5)
                best[OWNER[token]] = max(best[OWNER[token]], score)
            wanted += (np.exp(best) / np.exp(best).sum())[OWNER]
        np.testing.assert_allclose(found[head].numpy(), wanted / wanted.sum(), rtol=1e-4)


@pytest.mark.parametrize("most", [1, 2 * 4 * 6, 1 << 22])
def test_votes_by_brute_force(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SCORES", most)
    monkeypatch.setattr(module, "BLOCK_VECTORS", min(most, 4096))
    check_votes(head_votes)


def test_scores_at_once_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """However large an index is: the scores of a row, and a block of vectors."""
    monkeypatch.setattr(module, "MOST_SCORES", 60)
    monkeypatch.setattr(module, "BLOCK_VECTORS", 5)
    sizes, exact_scores = [], module.grouped_scores

    def counted(query: Tensor, vectors: Tensor) -> Tensor:
        found = exact_scores(query, vectors)
        sizes.append(found.numel())
        return found

    monkeypatch.setattr(module, "grouped_scores", counted)
    query, keys = drawn()
    span_shares(query, Vectors.of(keys), OWNER, LENGTHS)
    head_votes(query, Vectors.of(keys), OWNER, LENGTHS)
    assert sizes == [4 * 5, 4 * 5, 4 * 3] * 6


def test_planted_votes_of_the_last_row_only() -> None:
    with pytest.raises(AssertionError):
        check_votes(lambda query, *given: head_votes(query[-1:], *given))


def test_rows_are_spread_and_end_with_the_last() -> None:
    assert sampled(5, 100_000).tolist() == [0, 1, 2, 3, 4]
    rows = sampled(512, 1000)
    assert len(rows) == 64 and rows[0] == 0 and rows[-1] == 511
    assert set(rows.diff().tolist()) <= {8, 9}


def test_a_longer_index_meets_fewer_rows() -> None:
    """The products of a pass stay bounded; a short pass, such as a question, keeps all rows."""
    assert [len(sampled(512, n)) for n in (0, 4096, 8192, 65_536, 10**6)] == [64, 64, 32, 4, 4]
    assert sampled(512, 65_536).tolist() == [0, 170, 341, 511]
    assert len(sampled(64, 10**6)) == 64
