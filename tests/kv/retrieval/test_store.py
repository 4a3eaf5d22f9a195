"""A store's rows in memory, in a file, shared, and cut back."""

from pathlib import Path
from typing import Any

import pytest
import torch

from burnish.base.errors import StorageError
from burnish.kv.retrieval import store as module
from burnish.kv.retrieval.store import Store

ROW = (2, 3, 5)


def rows_of(num: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> torch.Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.randn((num, *ROW), generator=source).to(dtype)


def index_of(num: int, size: int = 11) -> torch.Tensor:
    return torch.randint(num, (3, size), generator=torch.Generator().manual_seed(1))


def check_tiers(tmp_path: Path, monkeypatch: Any, dtype: torch.dtype) -> None:
    monkeypatch.setattr(module, "SPILL_TOKENS", 8)
    rows, index = rows_of(29, dtype), index_of(29)
    kept, filed = Store(ROW, dtype), Store(ROW, dtype, path=tmp_path / "a.kv")
    for begin, end in ((0, 3), (3, 12), (12, 13), (13, 29)):
        for store in (kept, filed):
            store.append(rows[begin:end])
    filed.append(rows[:0])
    wanted = torch.stack([rows[index[k], :, k] for k in range(3)]).permute(2, 0, 1, 3)
    assert torch.equal(kept.gather(index), wanted)
    assert torch.equal(filed.gather(index), wanted)
    assert torch.equal(filed.keys(), kept.keys())
    assert kept.num_mapped_tokens == 0 < filed.num_mapped_tokens
    filed.spill()
    opened = Store.opened(ROW, dtype, tmp_path / "a.kv", 29)
    opened.append(rows_of(2, dtype, 5))
    assert torch.equal(opened.gather(index), wanted)
    assert (tmp_path / "a.kv").stat().st_size == 29 * filed.row_bytes


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_tiers_hold_the_same_bits(tmp_path: Path, monkeypatch: Any, dtype: torch.dtype) -> None:
    check_tiers(tmp_path, monkeypatch, dtype)


def test_planted_spill_at_the_start_of_the_file(tmp_path: Path, monkeypatch: Any) -> None:
    def wrong(self: Store) -> None:
        base, self._base = self._base, self._base[:0]
        exact(self)
        self._base = self._mapped(self.path, len(base) + len(self._base))

    exact = Store.spill
    monkeypatch.setattr(Store, "spill", wrong)
    with pytest.raises((AssertionError, RuntimeError)):
        check_tiers(tmp_path, monkeypatch, torch.float32)


def test_marks_and_forks(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "SPILL_TOKENS", 4)
    store = Store(ROW, torch.float32, path=tmp_path / "a.kv")
    store.append(rows_of(6))
    other = store.fork()
    other.append(rows_of(9, seed=2))
    store.append(rows_of(1, seed=3))
    store.truncate(3)
    store.append(rows_of(2, seed=4))
    wanted = torch.cat((rows_of(6)[:3], rows_of(2, seed=4)))
    assert torch.equal(store.keys(), wanted[:, 0].transpose(0, 1))
    assert torch.equal(other.keys()[:, 6:], rows_of(9, seed=2)[:, 0].transpose(0, 1))


def test_a_full_disk_keeps_the_rows(tmp_path: Path, monkeypatch: Any) -> None:
    store = Store(ROW, torch.float32, path=tmp_path / "gone" / "a.kv")
    store.append(rows_of(6))
    with pytest.raises(StorageError, match="could not be written"):
        store.spill()
    assert torch.equal(store.keys(), rows_of(6)[:, 0].transpose(0, 1))
