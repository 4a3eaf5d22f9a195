"""Shared-prompt attention against each prompt and completion as a sequence of its own."""

from typing import Any

import numpy as np
import pytest
import torch
from fixtures.brute import attention, heads, rope_config

from burnish.kv import shared
from burnish.kv.rope import Rope
from burnish.kv.shared import SharedAttend

GROUPS = [(6, [3, 1, 0, 4]), (1, [2]), (9, []), (4, [0, 5])]


def rows_of(groups: list[tuple[int, list[int]]]) -> list[tuple[int, int]]:
    """Length of each whole sequence, and how many of its last rows are its own."""
    return [
        pair
        for length, own in groups
        for pair in [(length, length), *((length + n, n) for n in own)]
    ]


def check_shared(groups: list[tuple[int, list[int]]]) -> None:
    sizes = {"num_heads": 6, "num_kv_heads": 2, "head_dim": 10}
    sequences, flat = [], []
    for index, (length, own) in enumerate(groups):
        (prompt,) = heads([length], **sizes, seed=index)
        parts = [prompt, *heads(own, **sizes, seed=100 + index)]
        flat += parts
        sequences.append(prompt)
        for part in parts[1:]:
            pairs = zip(prompt, part, strict=True)
            sequences.append(tuple(np.concatenate(pair) for pair in pairs))
    rows = [torch.from_numpy(np.concatenate(parts)) for parts in zip(*flat, strict=True)]
    windows = (None, 5)
    attend = SharedAttend(groups, Rope(rope_config(10)), windows)
    for layer, window in enumerate(windows):
        out = attend(layer, *rows).split([own for _, own in rows_of(groups)])
        for found, whole, (_, own) in zip(out, sequences, rows_of(groups), strict=True):
            wanted = attention(*whole, window=window)
            np.testing.assert_allclose(found, wanted[len(wanted) - own :], atol=2e-5)


@pytest.mark.parametrize("groups", [GROUPS, [(5, [1])], [(5, [])]])
def test_shared_equals_separate(groups: list[tuple[int, list[int]]]) -> None:
    check_shared(groups)


def test_planted_positions_run_on_over_siblings(monkeypatch: pytest.MonkeyPatch) -> None:
    def running(self: SharedAttend, groups: Any, rope: Rope, windows: Any) -> None:
        exact(self, groups, rope, windows)
        spans = [length + sum(own) for length, own in groups]
        self.positions = torch.cat([torch.arange(span) for span in spans])

    exact = SharedAttend.__init__
    monkeypatch.setattr(SharedAttend, "__init__", running)
    with pytest.raises(AssertionError):
        check_shared(GROUPS)


def test_planted_mask_counts_from_the_first_key(monkeypatch: pytest.MonkeyPatch) -> None:
    def early(at: torch.Tensor, keys: torch.Tensor, window: int | None) -> torch.Tensor:
        distance = torch.arange(len(at))[:, None] - keys
        return distance >= 0 if window is None else (distance >= 0) & (distance < window)

    monkeypatch.setattr(shared, "causal_mask", early)
    with pytest.raises(AssertionError):
        check_shared(GROUPS)


def test_a_sequence_has_the_same_bits_in_any_company() -> None:
    torch.manual_seed(0)
    query, key, value = (torch.randn(60, n, 16).bfloat16() for n in (6, 2, 2))
    rope = Rope(rope_config(16))
    alone = SharedAttend([(20, [9])], rope, (None,))(0, query[:29], key[:29], value[:29])
    among = SharedAttend([(20, [9, 11]), (13, [7])], rope, (None,))(0, query, key, value)
    assert torch.equal(alone, among[:29])
