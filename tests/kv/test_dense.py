"""The cache against plain lists, its attention against the definition, and its bits."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from fixtures.brute import attention, rope_config
from torch import Tensor

from burnish.kernels import ops
from burnish.kv import dense
from burnish.kv.dense import DenseCache, ExtendAttend, Snapshot, StepAttend, rounded
from burnish.kv.rope import Rope


@pytest.fixture(autouse=True, params=["compiled", "plain"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways through the cache: the compiled kernels, and torch alone."""
    if request.param == "plain":
        monkeypatch.setattr(ops, "usable", lambda *tensors: False)
    elif not ops.usable(torch.zeros(1)):
        pytest.skip("needs a C compiler for burnish's kernels")
    return request.param


@pytest.fixture
def plain(path: str) -> None:
    """Only the plain path: what is planted lies there."""
    if path != "plain":
        pytest.skip("planted in the plain path")


WINDOWS = (None, 5)
HEADS, KV_HEADS, SIZE, SLOTS = 6, 2, 10, 4


def make_cache(capacity_tokens: int = 150) -> DenseCache:
    return DenseCache(
        num_layers=len(WINDOWS),
        num_kv_heads=KV_HEADS,
        head_dim=SIZE,
        num_slots=SLOTS,
        capacity_tokens=capacity_tokens,
        dtype=torch.float32,
    )


class Lists:
    """The cache's model: every slot is the list of the rows that it was given."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.slots: list[list[Any]] = [[] for _ in range(SLOTS)]

    def new_rows(self, num: int) -> list[Any]:
        sizes = (HEADS, KV_HEADS, KV_HEADS)
        return [
            [tuple(self.rng.standard_normal((n, SIZE), dtype="float32") for n in sizes)
             for _ in WINDOWS]
            for _ in range(num)
        ]  # fmt: skip

    def wanted(self, slot: int, layer: int, num_last: int) -> np.ndarray:
        parts = zip(*(row[layer] for row in self.slots[slot]), strict=True)
        out = attention(*(np.stack(part) for part in parts), window=WINDOWS[layer])
        return out[len(out) - num_last :]


def attend_and_compare(lists: Lists, attend: Any, slots: Sequence[int], rows: list[Any]) -> None:
    """Run new rows, one list a slot, through every layer, and compare with the definition."""
    for slot, new in zip(slots, rows, strict=True):
        lists.slots[slot] += new
    for layer in range(len(WINDOWS)):
        flat = [row[layer] for new in rows for row in new]
        tensors = [torch.from_numpy(np.stack(part)) for part in zip(*flat, strict=True)]
        out = attend(layer, *tensors).split([len(new) for new in rows])
        for slot, new, found in zip(slots, rows, out, strict=True):
            np.testing.assert_allclose(found, lists.wanted(slot, layer, len(new)), atol=3e-5)


def check_operations(seed: int, num_operations: int = 30) -> None:
    """Random extensions, steps, moves, snapshots and rollbacks agree with the lists."""
    cache, rope, lists = make_cache(), Rope(rope_config(SIZE)), Lists(seed)
    rng, kept = lists.rng, []
    for _ in range(num_operations):
        action = rng.choice(["extend", "step", "move", "snapshot", "restore", "rollback"])
        source, target = (int(slot) for slot in rng.permutation(SLOTS)[:2])
        if action == "extend":
            slots, counts = [source, target], [int(n) for n in rng.integers(1, 7, 2)]
            attend = ExtendAttend(cache, slots, counts, rope, WINDOWS)
            attend_and_compare(lists, attend, slots, [lists.new_rows(n) for n in counts])
        elif action == "step":
            slots, counts = list(range(source + 1)), [1] * (source + 1)
            attend = StepAttend(cache, source + 1, rope, WINDOWS)
            attend_and_compare(lists, attend, slots, [lists.new_rows(1) for _ in slots])
        elif action == "move":
            cache.move(source, target)
            lists.slots[target] = list(lists.slots[source])
        elif action == "snapshot":
            kept.append((cache.snapshot(source), list(lists.slots[source])))
        elif action == "restore" and kept:
            snapshot, rows = kept[int(rng.integers(len(kept)))]
            cache.restore(target, snapshot)
            lists.slots[target] = list(rows)
        elif action == "rollback":
            length = int(rng.integers(len(lists.slots[source]) + 1))
            cache.rollback(source, length)
            del lists.slots[source][length:]
        if action in ("extend", "step"):
            for slot, count in zip(slots, counts, strict=True):
                cache.lengths[slot] += count
        assert cache.lengths == [len(rows) for rows in lists.slots]


@pytest.mark.parametrize("seed", range(6))
def test_random_operations_equal_brute_force(seed: int) -> None:
    check_operations(seed)


def check_fails_for_some_seed() -> None:
    with pytest.raises(AssertionError):
        for seed in range(6):
            check_operations(seed)


def test_planted_snapshot_without_values(monkeypatch: pytest.MonkeyPatch) -> None:
    def half(self: DenseCache, snapshot_of: int) -> Snapshot:
        snapshot = exact(self, snapshot_of)
        snapshot.cells[:, 1] = 0
        return snapshot

    exact = DenseCache.snapshot
    monkeypatch.setattr(DenseCache, "snapshot", half)
    check_fails_for_some_seed()


def test_planted_snapshot_that_is_a_view(monkeypatch: pytest.MonkeyPatch) -> None:
    def view(self: DenseCache, slot: int) -> Snapshot:
        return Snapshot(cells=self.cells[:, :, slot, :, : self.lengths[slot]])

    monkeypatch.setattr(DenseCache, "snapshot", view)
    check_fails_for_some_seed()


def check_reordered() -> None:
    """Each slot is what the snapshot of its source was."""
    cache, source = make_cache(40), torch.Generator().manual_seed(2)
    cache.lengths = [3, 17, 0, 33]
    cache.cells.normal_(generator=source)
    copies = [cache.snapshot(slot) for slot in range(SLOTS)]
    lengths, order = list(cache.lengths), [1, 1, 3, 0]
    cache.reorder(torch.tensor(order))
    assert cache.lengths == [lengths[slot] for slot in order]
    for slot, origin in enumerate(order):
        assert torch.equal(cache.snapshot(slot).cells, copies[origin].cells)


def test_reorder_equals_snapshots() -> None:
    check_reordered()


def test_planted_reorder_of_lengths_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = DenseCache.reorder

    def forgets(self: DenseCache, sources: Tensor) -> None:
        cells = self.cells.clone()
        exact(self, sources)
        self.cells = cells

    monkeypatch.setattr(DenseCache, "reorder", forgets)
    with pytest.raises(AssertionError):
        check_reordered()


def test_planted_move_that_forgets_the_length(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(self: DenseCache, source: int, target: int) -> None:
        before = self.lengths[target]
        exact(self, source, target)
        self.lengths[target] = before

    exact = DenseCache.move
    monkeypatch.setattr(DenseCache, "move", forgetful)
    check_fails_for_some_seed()


def test_planted_step_that_does_not_see_itself(
    plain: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def strict(distance: Tensor, window: int | None, dtype: torch.dtype) -> Tensor:
        return exact(torch.where(distance == 0, -1, distance), window, dtype)

    exact = StepAttend._mask
    monkeypatch.setattr(StepAttend, "_mask", staticmethod(strict))
    check_fails_for_some_seed()


def test_planted_step_one_position_late(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(self: Rope, positions: Tensor, dtype: torch.dtype) -> Any:
        return exact(self, positions + 1, dtype)

    def spoilt(self: StepAttend, *args: Any) -> None:
        monkeypatch.setattr(Rope, "at", late)
        start(self, *args)
        monkeypatch.setattr(Rope, "at", exact)

    exact, start = Rope.at, StepAttend.__init__
    monkeypatch.setattr(StepAttend, "__init__", spoilt)
    check_fails_for_some_seed()


def test_capacity_is_rounded_and_counted() -> None:
    assert [rounded(n) for n in (0, 1, 16, 17)] == [0, 16, 16, 32]
    cache = make_cache(17)
    assert cache.capacity_tokens == 32
    assert cache.num_bytes == 4 * 2 * len(WINDOWS) * SLOTS * KV_HEADS * 32 * SIZE
    with pytest.raises(AssertionError, match="capacity"):
        cache.write(0, 0, 31, torch.zeros(2, KV_HEADS, SIZE), torch.zeros(2, KV_HEADS, SIZE))


def bf16_step(lengths: Sequence[int], row: Callable[[int], tuple[Tensor, ...]]) -> Tensor:
    """A step of slots that hold `lengths` tokens, slot content by its length alone."""
    cache = DenseCache(
        num_layers=1, num_kv_heads=3, head_dim=64, num_slots=len(lengths),
        capacity_tokens=max(lengths) + 1, dtype=torch.bfloat16,
    )  # fmt: skip
    for slot, length in enumerate(lengths):
        source = torch.Generator().manual_seed(length)
        cells = torch.randn(1, 2, 3, length, 64, generator=source).bfloat16()
        cache.restore(slot, Snapshot(cells=cells))
    attend = StepAttend(cache, len(lengths), Rope(rope_config(64)), (None,))
    parts = zip(*(row(length) for length in lengths), strict=True)
    return attend(0, *(torch.stack(part) for part in parts))


def check_batch_invariance() -> None:
    """A sequence has the same bits alone and beside any others, shorter or longer."""

    def row(length: int) -> tuple[Tensor, ...]:
        source = torch.Generator().manual_seed(10_000 + length)
        return tuple(torch.randn(n, 64, generator=source).bfloat16() for n in (9, 3, 3))

    lengths = [1, 3, 15, 16, 17, 40, 100, 255, 511, 512, 530, 1030]
    alone = {length: bf16_step([length], row)[0] for length in lengths}
    for batch in (lengths, lengths[::-1], lengths[:5], lengths[3:9]):
        for length, found in zip(batch, bf16_step(batch, row), strict=True):
            assert torch.equal(found, alone[length]), length


def test_bf16_is_batch_invariant(num_threads: int) -> None:
    check_batch_invariance()


def test_planted_unrounded_lengths(plain: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense, "rounded", lambda length_tokens: length_tokens)
    with pytest.raises(AssertionError):
        check_batch_invariance()
