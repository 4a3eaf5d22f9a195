"""Attention over padded sequences against each sequence alone, by the definition."""

from typing import Any

import pytest
import torch
from fixtures.brute import rope_config

from burnish.kv.padded import PaddedAttend
from burnish.kv.rope import Rope, rotate

HEADS, KV_HEADS, SIZE = 6, 2, 10
LENGTHS = (7, 1, 4)


def check_alone() -> None:
    source = torch.Generator().manual_seed(3)
    rope, longest = Rope(rope_config(SIZE)), max(LENGTHS)
    rows = [torch.randn(3, longest, n, SIZE, generator=source) for n in (HEADS, KV_HEADS, KV_HEADS)]
    seen = torch.arange(longest) < torch.tensor(LENGTHS)[:, None]
    found = PaddedAttend(rope, seen)(0, *(x.flatten(0, 1) for x in rows)).unflatten(0, (3, -1))
    for number, length in enumerate(LENGTHS):
        query, key, value = (x[number, :length].double() for x in rows)
        positions = torch.arange(length)
        query, key = (rotate(x, rope.at(positions, torch.double)) for x in (query, key))
        for head in range(HEADS):
            own = head * KV_HEADS // HEADS
            weights = (query[:, head] @ key[:, own].T / SIZE**0.5).softmax(-1)
            wanted = (weights @ value[:, own]).float()
            torch.testing.assert_close(found[number, :length, head], wanted, atol=1e-5, rtol=1e-5)


def test_equals_each_sequence_alone() -> None:
    check_alone()


def test_planted_padding_that_is_seen(monkeypatch: Any) -> None:
    exact = PaddedAttend.__init__

    def all_seen(self: Any, rope: Rope, seen: Any) -> None:
        exact(self, rope, torch.ones_like(seen))

    monkeypatch.setattr(PaddedAttend, "__init__", all_seen)
    with pytest.raises(AssertionError):
        check_alone()
