"""Shared-prompt attention against each prompt and completion as a sequence of its own."""

from typing import Any

import numpy as np
import pytest
import torch
from fixtures.brute import attention, heads, rope_config

from burnish.kv import shared
from burnish.kv.rope import Rope
from burnish.kv.shared import Block, Forest, SharedAttend

GROUPS = [(6, [3, 1, 0, 4]), (1, [2]), (9, []), (4, [0, 5])]


def rows_of(groups: list[tuple[int, list[int]]]) -> list[tuple[int, int]]:
    """Length of each whole sequence, and how many of its last rows are its own."""
    return [
        pair
        for length, own in groups
        for pair in [(length, length), *((length + n, n) for n in own)]
    ]


def blocks_of(groups: list[tuple[int, list[int]]]) -> list[Block]:
    """A prompt's block, then one for each completion that has rows, as `Forest.branch` adds."""
    blocks: list[Block] = []
    for length, own in groups:
        prompt = len(blocks)
        blocks += [Block(num_rows=length), *(Block(num_rows=n, after=prompt) for n in own if n)]
    return blocks


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
    attend = SharedAttend(blocks_of(groups), Rope(rope_config(10)), windows)
    for layer, window in enumerate(windows):
        out = attend(layer, *rows).split([own for _, own in rows_of(groups)])
        for found, whole, (_, own) in zip(out, sequences, rows_of(groups), strict=True):
            wanted = attention(*whole, window=window)
            np.testing.assert_allclose(found, wanted[len(wanted) - own :], atol=2e-5)


@pytest.mark.parametrize("groups", [GROUPS, [(5, [1])], [(5, [])]])
def test_shared_equals_separate(groups: list[tuple[int, list[int]]]) -> None:
    check_shared(groups)


def test_planted_positions_run_on_over_siblings(monkeypatch: pytest.MonkeyPatch) -> None:
    def running(self: SharedAttend, blocks: Any, rope: Rope, windows: Any) -> None:
        exact(self, blocks, rope, windows)
        spans = [length + sum(own) for length, own in GROUPS]
        wrong = torch.cat([torch.arange(span) for span in spans])
        self._rotated = shared.RowRotation(rope, wrong)

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
    own, others = blocks_of([(20, [9])]), blocks_of([(20, [9, 11]), (13, [7])])
    alone = SharedAttend(own, rope, (None,))(0, query[:29], key[:29], value[:29])
    among = SharedAttend(others, rope, (None,))(0, query, key, value)
    assert torch.equal(alone, among[:29])


TREE = (-1, 0, 0, 1, -1, 4, 3)  # two branches behind the chain, one of which splits


def grown() -> tuple[Forest, dict[int, list[int]]]:
    """Chains three deep and trees behind them and alone; for each row the rows of its text."""
    forest, paths = Forest(), dict[int, list[int]]()

    def chain(length: int, after: int | None) -> int:
        block = forest.chain(range(length), after=after)
        for row in forest.rows(block):
            before = [] if after is None else paths[forest.rows(after)[-1]]
            paths[row] = [*(before if row == forest.rows(block)[0] else paths[row - 1]), row]
        return block

    def tree(after: int | None) -> None:
        rows = forest.rows(forest.tree(range(len(TREE)), TREE, after=after))
        for row, parent in zip(rows, TREE, strict=True):
            last = [] if after is None else paths[forest.rows(after)[-1]]
            paths[row] = [*(last if parent < 0 else paths[rows[parent]]), row]

    root = chain(6, None)
    middle = chain(3, root)
    chain(2, root)
    leaf = chain(4, middle)
    for after in (leaf, None, root):
        tree(after)
    return forest, paths


def check_forest() -> None:
    forest, paths = grown()
    (whole,) = heads([len(forest)], num_heads=6, num_kv_heads=2, head_dim=10, seed=4)
    rows = [torch.from_numpy(part) for part in whole]
    windows = (None, 5)
    attend = SharedAttend(forest.blocks, Rope(rope_config(10)), windows)
    assert attend.positions.tolist() == [len(paths[row]) - 1 for row in range(len(forest))]
    for layer, window in enumerate(windows):
        found = attend(layer, *rows)
        for row, path in paths.items():
            wanted = attention(*(part[path] for part in whole), window=window)[-1]
            np.testing.assert_allclose(found[row], wanted, atol=2e-5)


def test_forest_equals_separate() -> None:
    check_forest()


def test_planted_tree_rows_see_their_siblings(monkeypatch: pytest.MonkeyPatch) -> None:
    def open_eyed(self: Any, parents: Any, start: int) -> None:
        exact(self, parents, start)
        self._seen = self.positions[:, None] >= self._where

    exact = shared._Tree.__init__
    monkeypatch.setattr(shared._Tree, "__init__", open_eyed)
    with pytest.raises(AssertionError):
        check_forest()


def test_planted_blocks_forget_what_their_parent_continues(monkeypatch: pytest.MonkeyPatch) -> None:
    def short(blocks: Any) -> Any:
        return [
            span if len(span.before) < 2 else type(span)(before=span.before[-1:], own=span.own)
            for span in exact(blocks)
        ]

    exact = shared._spans
    monkeypatch.setattr(shared, "_spans", short)
    with pytest.raises(AssertionError):
        check_forest()
