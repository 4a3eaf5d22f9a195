"""Packed attention against attention's definition, sequence by sequence."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from fixtures.brute import attention, heads, rope_config
from torch import Tensor

from burnish.kv import packed
from burnish.kv.packed import PackedAttend
from burnish.kv.rope import Rope

Lay = Callable[[PackedAttend, Tensor], Tensor]
SIZES = [{"num_heads": 4, "num_kv_heads": 4}, {"num_heads": 6, "num_kv_heads": 2}]


def check_packed(sizes: dict[str, int], lengths: list[int]) -> None:
    sequences = heads(lengths, **sizes, head_dim=10, seed=4)
    windows = (None, 5)
    attend = PackedAttend(lengths, Rope(rope_config(10)), windows)
    flat = [torch.from_numpy(np.concatenate(parts)) for parts in zip(*sequences, strict=True)]
    for layer, window in enumerate(windows):
        found = attend(layer, *flat).split(lengths)
        for rows, wanted in zip(found, sequences, strict=True):
            np.testing.assert_allclose(rows, attention(*wanted, window=window), atol=2e-5)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("lengths", [[7, 1, 12, 3], [5, 5, 5], [9]])
def test_packed_equals_separate(sizes: dict[str, int], lengths: list[int]) -> None:
    check_packed(sizes, lengths)


def test_planted_rows_of_a_short_sequence_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Left padding, seen by the causal mask: the leak that the layout avoids."""

    def left(self: PackedAttend, lengths: list[int], rope: Rope, windows: Any) -> None:
        exact(self, lengths, rope, windows)
        shift = torch.tensor([max(lengths) - n for n in lengths])
        self._cells = self._cells + torch.repeat_interleave(shift, torch.tensor(lengths))

    exact = PackedAttend.__init__
    monkeypatch.setattr(PackedAttend, "__init__", left)
    check_packed(SIZES[0], [5, 5, 5])
    with pytest.raises(AssertionError):
        check_packed(SIZES[0], [7, 1, 12, 3])


def test_planted_groups_tiled_instead_of_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "repeat_kv", lambda rows, group: rows.repeat(1, group, 1, 1))
    with pytest.raises(AssertionError):
        check_packed(SIZES[1], [7, 1, 12, 3])


def test_positions_restart_with_each_sequence() -> None:
    attend = PackedAttend([3, 1, 2], Rope(rope_config(10)), (None,))
    assert attend.positions.tolist() == [0, 1, 2, 0, 0, 1]
    assert attend.to(torch.device("cpu")) is attend
