"""One pass over a pool for all static views, in blocks; then shares, scores and best items."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float, Int

from burnish.curate.calibrate import LEAST_ROWS, Background, gram_weights
from burnish.curate.views import View

PRIOR_ROWS = 20.0
BLOCK_ROWS = 2048


@dataclass
class Hits:
    """Which grams of a view's references are in which rows, block by block."""

    blocks: list[Any] = field(default_factory=list)
    counts: Any = None

    def add(self, owners: np.ndarray, grams: np.ndarray, num_rows: int, num_grams: int) -> None:
        """Add the rows of a block."""
        import scipy.sparse as sp

        ones = np.ones(len(owners), np.float32)
        self.blocks.append(sp.csr_matrix((ones, (owners, grams)), shape=(num_rows, num_grams)))
        counts = np.bincount(grams, minlength=num_grams).astype(np.float64)
        self.counts = counts if self.counts is None else self.counts + counts


class Referenced(Protocol):
    """The references of a view: their items and kinds."""

    @property
    def name(self) -> str:
        """Of the view."""
        ...

    @property
    def owners(self) -> Int[np.ndarray, " E"]:
        """The item of each reference."""
        ...

    @property
    def kinds(self) -> tuple[str, ...]:
        """Prompt, or the language of a solution."""
        ...


class Compared(Protocol):
    """How like its references the rows of a pool are in one view, block by block."""

    @property
    def view(self) -> Referenced:
        """Its references."""
        ...

    @property
    def num_blocks(self) -> int:
        """Blocks of rows."""
        ...

    def plain(self, block: int) -> Float[np.ndarray, "R E"]:
        """As people read it: a share, or a cosine."""
        ...

    def weighted(self, block: int) -> Float[np.ndarray, "R E"]:
        """As it is calibrated."""
        ...


@dataclass
class Shares:
    """Shares of one view's references in all rows: plain, and weighted by how rare grams are."""

    view: View
    hits: Hits
    num_rows: int

    def __post_init__(self) -> None:
        items = self.view.index.matrix()
        counts = self.hits.counts
        counts = np.zeros(items.shape[1]) if counts is None else counts
        small = PRIOR_ROWS if self.num_rows < LEAST_ROWS else 0.0
        weights = gram_weights(counts, self.num_rows, small)
        self._plain = items.T.tocsr()
        self._weighted = items.multiply(weights[None, :]).T.tocsr()
        totals = np.asarray(items @ weights).ravel()
        self._totals = np.maximum(totals, 1e-9)
        self._sizes = np.maximum(self.view.index.sizes, 1)

    @property
    def num_blocks(self) -> int:
        """Blocks of rows."""
        return len(self.hits.blocks)

    def weighted(self, block: int) -> Float[np.ndarray, "R E"]:
        """Share of each reference's weight, in the rows of a block."""
        return (self.hits.blocks[block] @ self._weighted).toarray() / self._totals

    def plain(self, block: int) -> Float[np.ndarray, "R E"]:
        """Share of each reference's grams."""
        return (self.hits.blocks[block] @ self._plain).toarray() / self._sizes


def collect(views: Sequence[View], blocks: Iterator[Sequence[str]]) -> tuple[list[Hits], int]:
    """Hits of all views in blocks of texts, and how many texts there were."""
    hits = [Hits() for _ in views]
    num_rows = 0
    for texts in blocks:
        num_rows += len(texts)
        for view, found in zip(views, hits, strict=True):
            owners, grams = view.match(texts)
            found.add(owners, grams, len(texts), view.index.num_grams)
    return hits, num_rows


def backgrounds(shares: Sequence[Compared]) -> list[Background]:
    """The background of every view, from evenly spaced blocks if the pool has many."""
    found = []
    for one in shares:
        num = one.num_blocks
        chosen = sorted({round(i) for i in np.linspace(0, num - 1, min(num, 8))})
        parts = [one.weighted(block) for block in chosen]
        found.append(Background.of(np.concatenate(parts)))
    return found


def by_item(
    values: Float[np.ndarray, "R E"], owners: np.ndarray, num_items: int
) -> Float[np.ndarray, "R E"]:
    """The largest value over the references of each item; -inf for an item without one.

    References of one item are adjacent.
    """
    found = np.full((len(values), num_items), -np.inf)
    if len(owners):
        here, starts = np.unique(owners, return_index=True)
        found[:, here] = np.maximum.reduceat(values, starts, axis=1)
    return found


def combined(parts: Sequence[Float[np.ndarray, "R E"]]) -> Float[np.ndarray, "R E"]:
    """The sum over views; a view without a value for an item counts as the mean of the others."""
    stacked = np.stack(parts)
    there = np.isfinite(stacked)
    num = there.sum(axis=0)
    total = np.where(there, stacked, 0.0).sum(axis=0)
    return np.where(num > 0, total * len(parts) / np.maximum(num, 1), -np.inf)
