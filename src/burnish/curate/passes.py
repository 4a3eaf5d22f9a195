"""The two passes of a leak scan: hits of all rows, then the text of the rows that matter."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float, Int

from burnish.base.files import atomic_write
from burnish.base.progress import track
from burnish.contracts.launcher import Launcher
from burnish.curate.calibrate import LEAST_ROWS, Background, Null, discovery_rates
from burnish.curate.pool import PoolReport, read_pool
from burnish.curate.samples import Sample
from burnish.curate.scan import BLOCK_ROWS, Compared, Hits, backgrounds, by_item, combined
from burnish.curate.tli import TestLeakage
from burnish.curate.views import View

TOP_ITEMS = 16  # of each row that later steps may look at
WINDOW = 16  # blocks that are handed to a launcher at a time
Thing = TypeVar("Thing")
Pairs = tuple[np.ndarray, np.ndarray]


@dataclass
class FirstPass:
    """What the scan keeps of every row: id, whether it is empty, hits, and part of TLI."""

    ids: list[Any] = field(default_factory=list)
    empty: list[bool] = field(default_factory=list)
    hits: list[Hits] = field(default_factory=list)
    tli_shares: list[Float[np.ndarray, " R"]] = field(default_factory=list)
    report: PoolReport = field(default_factory=PoolReport)

    @property
    def num_rows(self) -> int:
        """Rows that could be read."""
        return len(self.ids)


def first_pass(
    pool: Path | str,
    views: Sequence[View],
    tli: TestLeakage,
    *,
    launcher: Launcher,
    folder: Path | None = None,
) -> FirstPass:
    """Read a pool once; blocks that `folder` holds already are not matched again.

    Source: ours. Oracle: tests/curate/test_passes.py::test_blocks_change_nothing
    """
    found = FirstPass(hits=[Hits() for _ in views])
    blocks = blocks_of(read_pool(pool, found.report), BLOCK_ROWS)
    match = partial(match_block, views)
    with track(None, "scan", "row") as bar:
        number = 0
        while window := list(islice(blocks, WINDOW)):
            texts = [[sample.text for sample in block] for block in window]
            places = [_place(folder, number + i) for i in range(len(window))]
            missing = [t for t, place in zip(texts, places, strict=True) if not is_there(place)]
            fresh = iter(launcher.map(match, missing))
            for block, place in zip(window, places, strict=True):
                pairs = _load(place) if is_there(place) else _keep(place, next(fresh))
                for view, hits, (owners, grams) in zip(views, found.hits, pairs, strict=True):
                    hits.add(owners, grams, len(block), view.index.num_grams)
                found.ids += [sample.id for sample in block]
                found.empty += [sample.is_empty for sample in block]
                found.tli_shares += list(tli.add([sample.question for sample in block]))
                bar.advance(len(block))
            number += len(window)
    return found


def match_block(views: Sequence[View], texts: Sequence[str]) -> list[Pairs]:
    """Which grams of each view are in which texts."""
    return [view.match(texts) for view in views]


def _place(folder: Path | None, number: int) -> Path | None:
    return None if folder is None else folder / f"hits-{number:06d}.npz"


def is_there(place: Path | None) -> bool:
    """Whether a block was finished before."""
    return place is not None and place.is_file()


def _keep(place: Path | None, pairs: list[Pairs]) -> list[Pairs]:
    if place is not None:
        arrays: dict[str, Any] = {f"{i}{side}": array for i, pair in enumerate(pairs)
                  for side, array in zip("og", pair, strict=True)}  # fmt: skip
        with atomic_write(place, "wb") as file:
            np.savez(file, **arrays)
    return pairs


def _load(place: Path | None) -> list[Pairs]:
    assert place is not None
    with np.load(place) as held:
        return [(held[f"{i}o"], held[f"{i}g"]) for i in range(len(held.files) // 2)]


def blocks_of(things: Iterable[Thing], size: int) -> Iterator[list[Thing]]:
    """Lists of at most `size` things, in order."""
    iterator = iter(things)
    while block := list(islice(iterator, size)):
        yield block


@dataclass
class Scored:
    """Every row's nearest items, with scores that are calibrated if the pool is large enough.

    `items[r]` are item numbers from the nearest on; `threshold`, `chances` and `q` are None in
    pools of fewer than 200 rows, whose scores are plain shares.
    """

    items: Int[np.ndarray, "R k"]
    scores: Float[np.ndarray, "R k"]
    threshold: float | None = None
    chances: Float[np.ndarray, " R"] | None = None
    q: Float[np.ndarray, " R"] | None = None


def score_rows(shares: Sequence[Compared], num_items: int, num_rows: int, fpr: float) -> Scored:
    """Scores of all rows against all items.

    Source: ours. Oracle: tests/curate/test_passes.py::test_planted_leaks_rank_first
    """
    calibrated = num_rows >= LEAST_ROWS
    marks = backgrounds(shares) if calibrated else [None] * len(shares)
    tops, values = [], []
    num_blocks = shares[0].num_blocks if shares else 0
    for block in range(num_blocks):
        parts = [
            by_item(_excess(one, mark, block), one.view.owners, num_items)
            for one, mark in zip(shares, marks, strict=True)
        ]
        total = combined(parts) / (1 if calibrated else len(parts))
        top = np.argsort(-total, axis=1, kind="stable")[:, :TOP_ITEMS]
        tops.append(top)
        values.append(np.take_along_axis(total, top, axis=1))
    if not tops or not num_items:
        return Scored(np.zeros((num_rows, 0), np.int64), np.zeros((num_rows, 0)))
    scored = Scored(np.concatenate(tops), np.concatenate(values))
    best = scored.scores[:, 0]
    if calibrated and np.isfinite(best).all():
        null = Null.of(best)
        scored.threshold, scored.chances = null.threshold(fpr), null.chance(best)
        scored.q = discovery_rates(scored.chances)
    return scored


def _excess(one: Compared, mark: Background | None, block: int) -> Float[np.ndarray, "R E"]:
    return one.plain(block) if mark is None else mark.excess(one.weighted(block))


def second_pass(
    pool: Path | str,
    rows: set[int],
    use: Callable[[int, Sample], None],
    *,
    any_shape: bool = False,
) -> None:
    """Read a pool again and yield the rows with these numbers, counted from 0."""
    last = max(rows, default=-1)
    for number, sample in enumerate(read_pool(pool, PoolReport(), any_shape=any_shape)):
        if number > last:
            break
        if number in rows:
            use(number, sample)
