"""Pages of far tokens that stay at hand, on the device that attends."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

PAGE_TOKENS = 32


class PageCache:
    """At most `num_tokens` tokens in pages; a page that has to go is the one of least worth.

    `keep` 0: least recently used (LRU). Else worth is the number of reads, of which `keep` is left
    after each pass. What is gathered is the same without a cache.
    Source: InfLLM, arXiv 2402.04617, whose code has both; ours in form.
    Oracle: tests/kv/retrieval/test_cache.py::test_gathered_bits_are_those_of_the_store
    """

    def __init__(
        self,
        row: tuple[int, int, int],
        dtype: torch.dtype,
        *,
        device: torch.device,
        num_tokens: int,
        keep: float = 0.0,
    ) -> None:
        self._made: dict[str, Any] = {
            "row": row, "dtype": dtype, "device": device, "num_tokens": num_tokens, "keep": keep,
        }  # fmt: skip
        num_pages = max(1, num_tokens // PAGE_TOKENS)
        self._cells = torch.zeros((num_pages, PAGE_TOKENS, *row), dtype=dtype, device=device)
        self._slots: dict[int, int] = {}
        self._worth: dict[int, float] = {}
        self._keep, self._clock = keep, 0
        self.num_hits = self.num_misses = 0

    @property
    def num_tokens(self) -> int:
        """Tokens at hand."""
        return len(self._slots) * PAGE_TOKENS

    def empty_copy(self) -> "PageCache":
        """Another cache with the same settings."""
        return PageCache(**self._made)

    def gather(
        self, index: Int[Tensor, "K M"], load: Callable[[int, int], Float[Tensor, "T 2 K D"]]
    ) -> Float[Tensor, "K M 2 D"]:
        """Rows of the tokens that each head asks for; `load(first, end)` reads those of a page."""
        pages, within = index // PAGE_TOKENS, index % PAGE_TOKENS
        heads = torch.arange(len(index))[:, None].expand_as(index)
        wanted, uses = pages.unique(return_counts=True)
        self._clock += 1
        if self._keep:
            self._worth = {page: self._keep * worth for page, worth in self._worth.items()}
        size = (*index.shape, self._cells.shape[2], self._cells.shape[4])
        found = self._cells.new_zeros(size)
        for part, counts in zip(
            wanted.split(len(self._cells)), uses.split(len(self._cells)), strict=True
        ):
            own = dict(zip(part.tolist(), counts.tolist(), strict=True))
            slots = self._held(own, load)
            here = torch.isin(pages, part)
            at = slots[torch.searchsorted(part, pages[here])]
            found[here] = self._cells[at, within[here], :, heads[here]]
        return found

    def forget(self, num_tokens: int) -> None:
        """Drop pages that do not lie wholly in the first `num_tokens` tokens."""
        for page in [p for p in self._slots if (p + 1) * PAGE_TOKENS > num_tokens]:
            del self._slots[page], self._worth[page]

    def _held(self, wanted: dict[int, int], load: Callable[[int, int], Tensor]) -> Tensor:
        """Slots of the wanted pages, read where they are missing."""
        for page, uses in wanted.items():
            if page in self._slots:
                self.num_hits += 1
            else:
                self.num_misses += 1
                slot = self._free(wanted)
                first = page * PAGE_TOKENS
                self._cells[slot] = load(first, first + PAGE_TOKENS).to(self._cells.device)
                self._slots[page], self._worth[page] = slot, 0.0
            self._worth[page] = self._worth[page] + uses if self._keep else float(self._clock)
        return torch.tensor([self._slots[page] for page in wanted])

    def _free(self, wanted: dict[int, int]) -> int:
        if len(self._slots) < len(self._cells):
            return next(s for s in range(len(self._cells)) if s not in self._slots.values())
        spare = [page for page in self._slots if page not in wanted]
        least = min(spare, key=lambda page: (self._worth[page], page))
        del self._worth[least]
        return self._slots.pop(least)
