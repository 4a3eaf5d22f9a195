"""An upper bound on the attention that was missed, from what the index knows of unread cells."""

from dataclasses import dataclass

import numpy as np

CELL_TOKENS = 8  # of a span under one box: small boxes are tight


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Keys of short pieces, each as a ball and as a box; both hold all of its keys."""

    centres: np.ndarray
    radii: np.ndarray
    low: np.ndarray
    high: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray

    @classmethod
    def around(
        cls, keys: np.ndarray, starts: np.ndarray, lengths: np.ndarray, cell: int = CELL_TOKENS
    ) -> "Cells":
        """The cells around the keys `[T D]` of spans; a long span has several."""
        first = np.concatenate(
            [np.arange(s, s + n, cell) for s, n in zip(starts, lengths, strict=True)]
        )
        ends = np.minimum(np.append(first[1:], starts[-1] + lengths[-1]), first + cell)
        sizes = ends - first
        within = np.minimum(first[:, None] + np.arange(cell), (ends - 1)[:, None])
        rows = keys[within]  # the last key again where a cell is short: a box is not changed by it
        seen = np.arange(cell) < sizes[:, None]
        centres = (rows * seen[..., None]).sum(1) / sizes[:, None]
        apart = np.linalg.norm(rows - centres[:, None], axis=2)
        return cls(
            centres=centres, radii=apart.max(1), low=rows.min(1), high=rows.max(1), starts=first,
            sizes=sizes,
        )  # fmt: skip


def cell_bounds(query: np.ndarray, cells: Cells) -> np.ndarray:
    """Upper bound on the scaled product of a query with any key of each cell, by ball and box.

    Ball: q . c + |q| r; box: each dimension's better end.
    Source: ours (Cauchy-Schwarz); the box is Quest's, arXiv 2406.10774.
    Oracle: tests/stream/test_bound.py::test_the_bound_is_never_violated
    """
    ball = cells.centres @ query + np.linalg.norm(query) * cells.radii
    box = cells.high @ np.maximum(query, 0) + cells.low @ np.minimum(query, 0)
    return np.minimum(ball, box) / np.sqrt(len(query))


def missed_bound(log_kept: float, unread: np.ndarray) -> float:
    """Largest share of one head's attention that lies in unread cells: M / (Z + M).

    `unread`: logarithm of the most that each can hold. Holds for one layer's attention with the
    keys it has; nothing is said of later layers.
    Source: ours. Oracle: tests/stream/test_bound.py::test_the_bound_is_never_violated
    """
    if len(unread) == 0:
        return 0.0
    log_missed = float(np.logaddexp.reduce(unread))
    return float(1 / (1 + np.exp(min(700.0, log_kept - log_missed))))


def tokens_for_bound(
    scores: np.ndarray, cells: Cells, each: np.ndarray, *, log_kept: float, bound: float
) -> int:
    """How many far tokens to read, cell by cell in the order of bounds, to miss at most `bound`.

    `scores`: of all tokens; `each`: logarithm of the most that each cell can hold.
    Source: ours. Oracle: tests/stream/test_bound.py::test_the_adaptive_budget_meets_the_bound
    """
    order = np.argsort(-each, kind="stable")
    ends = cells.starts + cells.sizes
    whole = [
        np.logaddexp.reduce(scores[s:e])
        for s, e in zip(cells.starts[order], ends[order], strict=True)
    ]
    read = np.logaddexp.accumulate(np.concatenate(([log_kept], whole)))
    left = np.logaddexp.accumulate(each[order][::-1])[::-1]
    nums = np.concatenate(([0], np.cumsum(cells.sizes[order])))
    for place, num in enumerate(nums[:-1]):
        if missed_bound(float(read[place]), left[place : place + 1]) <= bound:
            return int(num)
    return int(nums[-1])


def head_bounds(
    queries: np.ndarray,
    keys: np.ndarray,
    spans: tuple[np.ndarray, np.ndarray],
    told: tuple[np.ndarray, np.ndarray],
    bound: float,
) -> list[tuple[float, float, float]]:
    """Of each query: bound on the missed share, the share, tokens that certify `bound`.

    `spans`: starts and lengths of the far tokens; `told`: for each token whether it was read, and
    whether at least its key was compared, so that its mass is known and needs no bound.
    Source: ours. Oracle: tests/stream/test_bound.py::test_a_head_by_brute_force
    """
    cells, (read, known), found = Cells.around(keys, *spans), told, []
    end = cells.starts[-1] + cells.sizes[-1]
    left = np.add.reduceat((~(read | known)[:end]).astype(int), cells.starts)
    near = np.ones(len(keys), dtype=bool)
    near[cells.starts[0] : end] = False
    for query in queries:
        scores, most = keys @ query / np.sqrt(len(query)), cell_bounds(query, cells)
        kept, missed = float(np.logaddexp.reduce(scores[read])), scores[~read]
        rest = (most + np.log(np.maximum(left, 1)))[left > 0]
        rest = np.concatenate((rest, scores[known & ~read]))
        adaptive = tokens_for_bound(
            scores, cells, most + np.log(cells.sizes),
            log_kept=float(np.logaddexp.reduce(scores[near])), bound=bound,
        )  # fmt: skip
        share = missed_bound(kept, missed) if len(missed) else 0.0
        found.append((missed_bound(kept, rest), share, float(adaptive)))
    return found
