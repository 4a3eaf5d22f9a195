"""Diversity: the paper's greedy walk, exact and in blocks; the block size changes no result."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from burnish.base.errors import InputError, SettingError

BLOCK_ROWS = 512


@dataclass(frozen=True)
class Selection:
    """What a walk chose. `nearest[i]` is the largest similarity of row i to a row chosen before it.

    `chosen` are places in the given order. A row that was not looked at, because the budget was
    met, has a `nearest` of NaN; one without a chosen row before it, of -inf. `by[i]` is the chosen
    row that row i is nearest to; -1: none.
    """

    chosen: Int[np.ndarray, " k"]
    nearest: Float[np.ndarray, " R"]
    by: Int[np.ndarray, " R"]


def greedy(
    vectors: Float[np.ndarray, "R d"],
    *,
    threshold: float,
    budget: int | None = None,
    block_rows: int = BLOCK_ROWS,
    order: Int[np.ndarray, " N"] | None = None,
) -> Selection:
    """Walk rows in their order; take one unless a chosen row has a cosine above the threshold.

    Stops when `budget` rows are chosen. The result does not depend on `block_rows`. `order` names
    the rows to walk (all, one after another); results are places in it. Only a block and the
    chosen rows are held, so the vectors may be mapped from a file.
    Raises: InputError, for vectors that are looked at and are not finite, or are zero.
    Source: XCoder, arXiv 2409.03810, Algorithm 1. Its "distance" of 0.945 is a cosine similarity
    (DEITA's maintainers say so of the same rule).
    Oracle: tests/curate/test_greedy.py::test_equals_the_sequential_definition
    """
    if block_rows < 1:
        raise SettingError("block_rows", block_rows, "must be at least 1", remedy="512 is usual")
    num = len(vectors) if order is None else len(order)
    most = num if budget is None else min(budget, num)
    kept = np.zeros((most, vectors.shape[1]), np.float32)  # BLAS looks at the rest, too
    chosen: list[int] = []
    nearest = np.full(num, np.nan)
    by = np.full(num, -1, dtype=np.int64)
    for start in range(0, num, block_rows):
        if len(chosen) >= most:
            break
        places = slice(start, start + block_rows)
        block = unit_rows(vectors[places if order is None else order[places]], first=start)
        best, owner = _nearest(block, kept[: len(chosen)], chosen)
        inside = cosines(block, block)
        for i in range(len(block)):
            if len(chosen) >= most:
                break
            nearest[start + i], by[start + i] = best[i], owner[i]
            if best[i] > threshold:
                continue
            kept[len(chosen)] = block[i]
            chosen.append(start + i)
            closer = inside[i] > best
            best[closer], owner[closer] = inside[i][closer], start + i
    return Selection(np.array(chosen, dtype=np.int64), nearest, by)


def _nearest(
    block: Float[np.ndarray, "N d"], kept: Float[np.ndarray, "k d"], chosen: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Similarity to the nearest row chosen before the block, and that row."""
    if not len(kept):
        return np.full(len(block), -np.inf), np.full(len(block), -1, dtype=np.int64)
    products = cosines(block, kept)
    at = products.argmax(axis=1)
    best = products[np.arange(len(block)), at].astype(np.float64)
    return best, np.asarray(chosen, dtype=np.int64)[at]


def cosines(
    rows: Float[np.ndarray, "N d"], others: Float[np.ndarray, "k d"]
) -> Float[np.ndarray, "N k"]:
    """All cosines of unit rows.

    Some BLAS raises floating-point flags for lanes outside of its operands; they are ignored.
    """
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        return rows @ others.T


def unit_rows(vectors: Float[np.ndarray, "R d"], *, first: int = 0) -> Float[np.ndarray, "R d"]:
    """Rows scaled to length 1, in fp32; `first` is the number of the first one.

    Raises: InputError, naming the first row that is zero.
    """
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    wrong = np.flatnonzero(~np.isfinite(lengths) | (lengths == 0))
    if len(wrong):
        row, remedy = int(wrong[0]), "Leave the row out, or embed it again"
        rule = "must be finite and not zero"
        raise InputError(f"embedding {first + row}", float(lengths[row]), rule,
                         remedy=remedy)  # fmt: skip
    return (vectors / lengths[:, None]).astype(np.float32)


def budget_curve(
    vectors: Float[np.ndarray, "R d"], *, thresholds: Sequence[float], block_rows: int = BLOCK_ROWS
) -> dict[float, Int[np.ndarray, " R"]]:
    """For each threshold, how many of the first r rows an unlimited walk chooses.

    A walk with a budget of k chooses the first k of them, so one walk a threshold gives every
    budget; the similarities inside of a block and to what other thresholds chose are shared.
    Source: ours. Oracle: tests/curate/test_greedy.py::test_the_curve_equals_single_walks
    """
    unit = unit_rows(vectors)
    walks = [_Walk(threshold, np.zeros_like(unit)) for threshold in thresholds]
    for start in range(0, len(unit), block_rows):
        block = unit[start : start + block_rows]
        inside = cosines(block, block)
        for walk in walks:
            walk.go_on(block, inside)
    return {walk.threshold: np.array(walk.counts, dtype=np.int64) for walk in walks}


class _Walk:
    def __init__(self, threshold: float, room: np.ndarray) -> None:
        self.threshold, self.counts = threshold, list[int]()
        self._kept, self._num = room, 0

    def go_on(self, block: np.ndarray, inside: np.ndarray) -> None:
        best, _ = _nearest(block, self._kept[: self._num], range(self._num))
        for i in range(len(block)):
            if best[i] <= self.threshold:
                self._kept[self._num] = block[i]
                self._num += 1
                best = np.maximum(best, inside[i])
            self.counts.append(self._num)
