"""A cache of pages changes no bit, and drops the page of least worth."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from burnish.kv.retrieval import cache as module
from burnish.kv.retrieval import store as store_module
from burnish.kv.retrieval.cache import PageCache
from burnish.kv.retrieval.store import Store

ROW = (2, 3, 5)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE_TOKENS", 4)
    monkeypatch.setattr(store_module, "PAGE_TOKENS", 4)
    monkeypatch.setattr(store_module, "SPILL_TOKENS", 10)


def cache_of(num_tokens: int, keep: float = 0.0) -> PageCache:
    return PageCache(
        ROW, torch.float32, device=torch.device("cpu"), num_tokens=num_tokens, keep=keep
    )


def check_bits(tmp_path: Path, cache: PageCache, name: str) -> Store:
    """30 rows in the file, 7 behind them in memory."""
    source = torch.Generator().manual_seed(0)
    rows = torch.randn((37, *ROW), generator=source)
    store = Store(ROW, torch.float32, path=tmp_path / name, cache=cache)
    for part in rows.split([30, 7]):
        store.append(part)
    assert store.num_mapped_tokens == 30
    for num in (1, 6, 30):
        for _ in range(3):
            index = torch.stack([torch.randperm(37, generator=source)[:num] for _ in range(3)])
            wanted = torch.stack([rows[own, :, head] for head, own in enumerate(index)])
            assert torch.equal(store.gather(index), wanted.permute(2, 0, 1, 3))
            assert cache.num_tokens <= max(4, cache._made["num_tokens"])
    return store


@pytest.mark.parametrize("keep", [0.0, 0.5])
def test_gathered_bits_are_those_of_the_store(keep: float, tmp_path: Path) -> None:
    for num in (1, 8, 100):
        cache = cache_of(num, keep)
        store = check_bits(tmp_path, cache, f"{num}.kv")
        assert cache.num_misses > 0 and (num == 1 or cache.num_hits > 0)
        assert store.fork().cache is not cache


def test_planted_page_that_is_one_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = PageCache.gather

    def late(self: PageCache, index: Tensor, load: Any) -> Tensor:
        return exact(self, index, lambda a, b: load(a, b).roll(1, 0))

    monkeypatch.setattr(PageCache, "gather", late)
    with pytest.raises(AssertionError):
        check_bits(tmp_path, cache_of(8), "late.kv")


def read(cache: PageCache, *pages: int) -> int:
    """Misses of reading tokens of pages."""
    before = cache.num_misses
    index = torch.tensor([[4 * page for page in pages]]).expand(3, -1)
    cache.gather(index, lambda a, b: torch.zeros((b - a, *ROW)))
    return cache.num_misses - before


def test_the_page_of_least_worth_goes() -> None:
    recent, often = cache_of(8), cache_of(8, 0.9)
    for cache, misses in ((recent, 1), (often, 0)):
        assert [read(cache, *pages) for pages in ([0], [0], [0], [1])] == [1, 0, 0, 1]
        assert read(cache, 2) == 1  # LRU drops 0, the other 1
        assert read(cache, 0) == misses
        cache.forget(4)
        assert cache.num_tokens == (4 if 0 in cache._slots else 0)


def test_a_rewound_file_is_read_again(tmp_path: Path) -> None:
    store = Store(ROW, torch.float32, path=tmp_path / "a.kv", cache=cache_of(100))
    first, then = torch.zeros((12, *ROW)), torch.ones((12, *ROW))
    store.append(first)
    index = torch.arange(12).expand(3, -1)
    assert not store.gather(index).any()
    store.truncate(2)
    store.append(then)
    assert torch.equal(store.gather(index)[:, :, 2:], torch.ones((2, 3, 10, 5)))
