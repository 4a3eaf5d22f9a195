"""The embedding view: cosines of rows with references, in a model's pooled states."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from burnish.base.files import atomic_write
from burnish.base.meter import Meter
from burnish.curate.calibrate import Background
from burnish.curate.passes import blocks_of, is_there
from burnish.curate.pool import PoolReport, read_pool
from burnish.curate.scan import BLOCK_ROWS, backgrounds
from burnish.curate.scoring import cut_tokens, embed_texts
from burnish.curate.views import View, references
from burnish.data.benchmarks import BenchmarkItem
from burnish.models.handle import ModelHandle

NAME = "embedding"
NUM_DIRECTIONS = 128
LEAST_VARIANCE = 1e-8  # of unit vectors: less is rounding
BLANK = "."  # what stands for a text without a token


@dataclass(frozen=True, kw_only=True)
class Embedder:
    """What turns texts into vectors: the mean state of their first tokens, in one layer."""

    handle: ModelHandle
    layer: int
    max_tokens: int
    meter: Meter = field(default_factory=Meter)

    def __call__(self, texts: Sequence[str]) -> Float[np.ndarray, "N d"]:
        """Vectors of length 1."""
        cut = [cut_tokens(self.handle, text, self.max_tokens) for text in texts]
        cut = [text if text.strip() else BLANK for text in cut]
        layer = None if self.layer < 0 else self.layer
        return embed_texts(self.handle, cut, self.meter, layer=layer)


@dataclass(frozen=True, kw_only=True)
class EmbeddingView:
    """The references of the other views as vectors, with the item and the kind of each."""

    owners: Int[np.ndarray, " E"]
    kinds: tuple[str, ...]
    vectors: Float[np.ndarray, "E d"]
    name: str = NAME

    @classmethod
    def of(
        cls, items: Sequence[BenchmarkItem], views: Sequence[View], embedder: Embedder
    ) -> "EmbeddingView":
        """Embed the references that the views of prompts and of code compare with."""
        known = {(int(i), kind) for v in views for i, kind in zip(v.owners, v.kinds, strict=True)}
        some = sorted((i, kind, text) for i, kind, text in references(items) if (i, kind) in known)
        owners = np.array([i for i, _, _ in some], dtype=np.int64)
        vectors = embedder([text for _, _, text in some])
        return cls(owners=owners, kinds=tuple(kind for _, kind, _ in some), vectors=vectors)


class Cosines:
    """Cosines of the rows of a pool with references, in the directions in which the pool varies.

    States of all texts have much in common, which says nothing about two of them: vectors are
    taken about the pool's mean, and its largest `NUM_DIRECTIONS` directions are scaled to the same
    variance.
    Source: whitened sentence embeddings, Su et al., arXiv 2103.15316, eq. 5, by the pool's own
    covariance. Oracle: tests/curate/test_embedding.py::test_cosines_by_hand
    """

    def __init__(self, view: EmbeddingView, blocks: Sequence[Float[np.ndarray, "R d"]]) -> None:
        self.view, self.blocks = view, blocks
        self._mean, self._map = whitening(blocks)
        self._references = self._white(view.vectors)

    @property
    def num_blocks(self) -> int:
        """Blocks of rows, those of the other views."""
        return len(self.blocks)

    def plain(self, block: int) -> Float[np.ndarray, "R E"]:
        """The cosines of a block."""
        return self._white(self.blocks[block]) @ self._references.T

    def weighted(self, block: int) -> Float[np.ndarray, "R E"]:
        """The same: the background of each reference is what makes them comparable."""
        return self.plain(block)

    @cached_property
    def background(self) -> Background:
        """What is ordinary for each reference."""
        return backgrounds([self])[0]

    def nearest(self, cosines: Float[np.ndarray, " E"], item: int) -> dict[str, Any] | None:
        """The ledger's entry of a row with these cosines: the item's nearest reference.

        `ordinary` is the cosine under which 99.5% of the pool's rows lie. None for an item without
        a reference.
        """
        mine = np.flatnonzero(self.view.owners == item)
        if not len(mine):
            return None
        best = int(mine[cosines[mine].argmax()])
        return {
            "reference": self.view.kinds[best],
            "cosine": round(float(cosines[best]), 4),
            "ordinary": round(float(self.background.high[best]), 4),
        }

    def _white(self, vectors: Float[np.ndarray, "N d"]) -> Float[np.ndarray, "N k"]:
        mapped = (vectors.astype(np.float64) - self._mean) @ self._map
        return mapped / np.maximum(np.linalg.norm(mapped, axis=1, keepdims=True), LEAST_VARIANCE)


def whitening(
    blocks: Sequence[Float[np.ndarray, "R d"]], num_directions: int = NUM_DIRECTIONS
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d k"]]:
    """The mean of vectors, and the map to their largest directions at equal variance."""
    num, width = sum(map(len, blocks)), blocks[0].shape[1]
    total, products = np.zeros(width), np.zeros((width, width))
    for block in blocks:
        rows = block.astype(np.float64)
        total += rows.sum(axis=0)
        products += rows.T @ rows
    mean = total / num
    variances, directions = np.linalg.eigh(products / num - np.outer(mean, mean))
    kept = np.argsort(-variances)[: min(num_directions, num - 1)]
    scales = np.sqrt(np.maximum(variances[kept], 0) + LEAST_VARIANCE)
    return mean, directions[:, kept] / scales


def embed_pool(
    pool: Path | str, embedder: Embedder, folder: Path | None = None
) -> list[Float[np.ndarray, "R d"]]:
    """Vectors of all rows, in the blocks of the scan; blocks that `folder` holds are kept.

    With a folder the vectors stay on disk, and are mapped into memory.
    """
    found: list[Float[np.ndarray, "R d"]] = []
    for number, block in enumerate(blocks_of(read_pool(pool, PoolReport()), BLOCK_ROWS)):
        place = None if folder is None else folder / f"vectors-{number:06d}.npy"
        if place is None:
            found.append(embedder([sample.text for sample in block]))
            continue
        if not is_there(place):
            vectors = embedder([sample.text for sample in block])
            with atomic_write(place, "wb") as file:
                np.save(file, vectors)
        found.append(np.load(place, mmap_mode="r"))
    return found
