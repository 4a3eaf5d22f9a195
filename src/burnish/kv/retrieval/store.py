"""Keys and values of one layer's far tokens: append-only, in memory or mapped from a file."""

import contextlib
import ctypes
import os
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from burnish.base.files import storage_errors
from burnish.kv.retrieval.cache import PAGE_TOKENS, PageCache

LEAST_TOKENS = 512  # room that the part in memory begins with; it doubles
SPILL_TOKENS = 1024  # a store with a file writes its tail once it is so long


class Store:
    """Rows `[2 K D]`, one a token: those in a file are mapped, the latest ones are in memory.

    With `path` the tail moves to the end of that file; without, it stays in memory, so that many
    stores can share one file that none of them writes. Rows are read by index, never all at once.
    Source: ours. Oracle: tests/kv/retrieval/test_store.py::test_tiers_hold_the_same_bits
    """

    def __init__(
        self,
        row: tuple[int, int, int],
        dtype: torch.dtype,
        *,
        path: Path | None = None,
        cache: PageCache | None = None,
    ) -> None:
        self._row, self._dtype, self.path, self.cache = row, dtype, path, cache
        self._base = torch.zeros((0, *row), dtype=dtype)
        self._tail = torch.zeros((0, *row), dtype=dtype)
        self._num_tail = 0

    @classmethod
    def opened(
        cls, row: tuple[int, int, int], dtype: torch.dtype, path: Path, num_tokens: int
    ) -> "Store":
        """The first `num_tokens` rows of a file; what is appended stays in memory."""
        store = cls(row, dtype)
        store._base = store._mapped(path, num_tokens)
        return store

    @property
    def num_tokens(self) -> int:
        """Rows held."""
        return len(self._base) + self._num_tail

    @property
    def num_mapped_tokens(self) -> int:
        """Rows of the file."""
        return len(self._base)

    @property
    def row_bytes(self) -> int:
        """Size of one token's keys and values."""
        return self._row[0] * self._row[1] * self._row[2] * self._dtype.itemsize

    def append(self, rows: Float[Tensor, "T 2 K D"]) -> None:
        """Add rows behind the others."""
        end = self._num_tail + len(rows)
        if end > len(self._tail):
            size = (max(LEAST_TOKENS, 2 * len(self._tail), end), *self._row)
            grown = torch.zeros(size, dtype=self._dtype)
            grown[: self._num_tail] = self._tail[: self._num_tail]
            self._tail = grown
        self._tail[self._num_tail : end] = rows.to("cpu")
        self._num_tail = end
        if self.path is not None and end >= SPILL_TOKENS:
            self.spill()

    def gather(self, index: Int[Tensor, "K M"]) -> Float[Tensor, "2 K M D"]:
        """Keys and values of the tokens that each head asks for."""
        heads = torch.arange(len(index))[:, None]
        num = len(self._base)
        if num == 0:
            found = self._tail[index, :, heads]
        elif self._num_tail == 0 or int(index.max()) < num:
            found = self._mapped_rows(index, heads)
        else:
            old = self._mapped_rows(index.clamp(max=num - 1), heads)
            new = self._tail[(index - num).clamp(min=0), :, heads]
            found = torch.where((index < num)[..., None, None], old, new)
        return found.permute(2, 0, 1, 3)

    def _mapped_rows(self, index: Tensor, heads: Tensor) -> Float[Tensor, "K M 2 D"]:
        """Rows of the file; those of whole pages through the cache."""
        if self.cache is None:
            return self._base[index, :, heads]
        whole = len(self._base) // PAGE_TOKENS * PAGE_TOKENS
        if whole == 0:
            return self._base[index, :, heads]
        found = self.cache.gather(index.clamp(max=whole - 1), lambda a, b: self._base[a:b])
        late = index >= whole
        if bool(late.any()):
            found[late] = self._base[index[late], :, heads.expand_as(index)[late]].to(found.device)
        return found.cpu()

    def gather_keys(self, index: Int[Tensor, "K M"]) -> Float[Tensor, "K M D"]:
        """Keys alone of the tokens that each head asks for."""
        heads, num = torch.arange(len(index))[:, None], len(self._base)
        if num == 0:
            return self._tail[index, 0, heads]
        old = self._base[index.clamp(max=num - 1), 0, heads]
        if self._num_tail == 0 or int(index.max()) < num:
            return old
        new = self._tail[(index - num).clamp(min=0), 0, heads]
        return torch.where((index < num)[..., None], old, new)

    def keys(self) -> Float[Tensor, "K T D"]:
        """All keys: a view where they lie in one piece. For exact scores only."""
        parts = (self._base, self._tail[: self._num_tail])
        whole = parts[1] if len(parts[0]) == 0 else torch.cat(parts)
        return whole[:, 0].transpose(0, 1)

    def truncate(self, num_tokens: int) -> None:
        """Forget all rows behind the first `num_tokens`."""
        assert num_tokens <= self.num_tokens
        self._num_tail = max(0, num_tokens - len(self._base))
        self._base = self._base[:num_tokens]
        if self.cache is not None:
            self.cache.forget(len(self._base))

    def fork(self) -> "Store":
        """An independent store with the same rows; the file is shared and written by neither."""
        cache = None if self.cache is None else self.cache.empty_copy()
        other = Store(self._row, self._dtype, cache=cache)
        other._base, other._num_tail = self._base, self._num_tail
        other._tail = self._tail[: self._num_tail].clone()
        return other

    def spill(self) -> None:
        """Move the tail to the end of the file. Raises StorageError; the tail is then kept."""
        assert self.path is not None
        tail, at = self._tail[: self._num_tail], len(self._base) * self.row_bytes
        with storage_errors(self.path):
            self.path.touch()
            with self.path.open("r+b") as file:
                file.seek(at)
                file.write(tail.contiguous().view(torch.uint8).numpy().data)
                file.truncate()
                file.flush()
                os.fsync(file.fileno())
        self._base = self._mapped(self.path, self.num_tokens)
        self._tail, self._num_tail = self._tail[:0].clone(), 0

    def _mapped(self, path: Path, num_tokens: int) -> Tensor:
        if num_tokens == 0:
            return torch.zeros((0, *self._row), dtype=self._dtype)
        size = num_tokens * self._row[0] * self._row[1] * self._row[2]
        flat = torch.from_file(str(path), shared=False, size=size, dtype=self._dtype)
        return flat.view(num_tokens, *self._row)


def return_freed_memory() -> None:
    """Return free pages inside the heap to the system, where the C library can.

    An index grows by copies, each a little larger than the last, which fragments the heap.
    """
    with contextlib.suppress(AttributeError, OSError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)
