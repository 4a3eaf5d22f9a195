"""Where a text parts into spans, judged by its own local attention.

A band `[n B]` holds that attention: row i, column d is what token i gives to token i - d, summed
over heads; cells before the region's first token are 0.
"""

import heapq
from collections.abc import Callable, Sequence

import numpy as np

from burnish.base.errors import SettingError

Bounds = list[tuple[int, int]]  # first token of a span, and the one behind its last
Find = Callable[[np.ndarray, int, int, int], Bounds]
NUM_HALVINGS = 16  # of the interval in which theta is searched


def triangle_scores(band: np.ndarray, theta: float) -> np.ndarray:
    """Score `[n B]` of each span by its first token x and its length less one.

    S(x, y) = sum over x <= j <= i <= y of A(i, j) - theta; -inf where a span leaves the region.
    Sums run along rows and then along spans, in double precision: no square of the whole window is
    made, and nothing cancels.
    Source: Ltri-LLM, arXiv 2412.04757, the score; reconstruction from secondary summaries.
    Oracle: tests/kv/retrieval/test_spans.py::test_scores_equal_brute_force
    """
    num, width = band.shape
    rows = np.cumsum(band.astype(np.float64) - theta, axis=1)  # of token i over i - d .. i
    ends = np.arange(num)[:, None] + np.arange(width)
    inside = ends < num
    skewed = np.where(inside, rows[np.minimum(ends, num - 1), np.arange(width)], 0.0)
    return np.where(inside, np.cumsum(skewed, axis=1), -np.inf)


def greedy_spans(scores: np.ndarray, least: int, most: int, piece: int) -> Bounds:
    """Spans of positive score by descending score, none overlapping; gaps become spans.

    A heap holds the best span of each first token; one that overlaps a chosen span is replaced by
    the best shorter one, so that the order is that of sorting all candidates.
    Source: Ltri-LLM, arXiv 2412.04757, non-maximum suppression; overlap limit 0 is ours (unseen).
    Oracle: tests/kv/retrieval/test_spans.py::test_greedy_equals_sorting_all
    """
    num = len(scores)
    allowed = scores[:, :most].copy()
    allowed[:, : least - 1] = -np.inf
    best = np.maximum.accumulate(allowed, axis=1)
    where = np.where(allowed == best, np.arange(allowed.shape[1]), 0)
    where = np.maximum.accumulate(where, axis=1)  # the last best: ties go to the longer span
    taken = np.zeros(num, dtype=bool)
    heap = [(-best[x, -1], x, int(where[x, -1])) for x in range(num) if best[x, -1] > 0]
    heapq.heapify(heap)
    chosen: Bounds = []
    while heap:
        _, x, last = heapq.heappop(heap)
        if taken[x]:
            continue
        hit = taken[x : x + last + 1]
        if hit.any():
            free = int(hit.argmax()) - 1  # the largest index of a length that is still free
            if free >= 0 and best[x, free] > 0:
                heapq.heappush(heap, (-best[x, free], x, int(where[x, free])))
            continue
        taken[x : x + last + 1] = True
        chosen.append((x, x + last + 1))
    return fill_gaps(sorted(chosen), num, piece)


def best_spans(scores: np.ndarray, least: int, most: int, piece: int) -> Bounds:
    """The non-overlapping spans of largest total score, exactly; gaps become spans.

    best[y] = max(best[y - 1], max over x of best[x - 1] + S(x, y)): O(n most).
    Source: ours (dynamic programming over intervals).
    Departure: Ltri-LLM takes spans greedily, see `greedy_spans`.
    Oracle: tests/kv/retrieval/test_spans.py::test_best_total_equals_all_partitions
    """
    num, width = len(scores), min(most, scores.shape[1])
    starts = np.arange(num)[:, None] - np.arange(width)  # of spans that end at y, by length
    by_end = np.where(starts >= 0, scores[np.maximum(starts, 0), np.arange(width)], -np.inf)
    by_end[:, : least - 1] = -np.inf
    best = np.zeros(num + width)  # best[width + y]: of the tokens before y
    length, totals, skipped = [0] * num, np.empty(width), 0.0
    rows = list(np.ascontiguousarray(by_end[:, ::-1]))  # column c goes with best[y + c]
    for y in range(num):
        np.add(rows[y], best[y : y + width], out=totals)  # first token y - (width - 1) + c
        top = int(totals.argmax())
        value = totals.item(top)
        if value > skipped:
            skipped, length[y] = value, width - top
        best[width + y] = skipped
    return fill_gaps(_walk_back(length), num, piece)


def _walk_back(length: Sequence[int]) -> Bounds:
    chosen, y = [], len(length) - 1
    while y >= 0:
        if length[y]:
            chosen.append((y + 1 - length[y], y + 1))
        y -= max(1, length[y])
    return chosen[::-1]


def fill_gaps(chosen: Sequence[tuple[int, int]], num: int, piece: int) -> Bounds:
    """The chosen spans, and what lies between them in pieces of at most `piece`: none is lost.

    Source: ours. Oracle: tests/kv/retrieval/test_spans.py::test_no_token_is_lost
    """
    filled, at = [], 0
    for first, end in [*chosen, (num, num)]:
        while at < first:
            step = min(piece, first - at)
            filled.append((at, at + step))
            at += step
        if end > first:
            filled.append((first, end))
            at = end
    return filled


def calibrate_theta(
    band: np.ndarray, find: Find, *, least: int, most: int, mean_tokens: float
) -> float:
    """The threshold at which spans have `mean_tokens` on average, by halving.

    A larger theta makes spans shorter; gaps count in pieces of `least`, so that a threshold which
    finds nothing is too large. Mean, not median: it fixes the size of the index.
    Raises SettingError for a band without rows.
    Source: ours; the paper's threshold is unknown.
    Oracle: tests/kv/retrieval/test_spans.py::test_theta_gives_the_wanted_length
    """
    if len(band) == 0:
        raise SettingError("band", 0, "must contain rows", remedy="Read some tokens first")
    wanted = len(band) / mean_tokens
    low, high = 0.0, float(band.max()) + 1e-9
    best, best_gap = 0.0, np.inf
    for _ in range(NUM_HALVINGS):
        theta = (low + high) / 2
        gap = len(find(triangle_scores(band, theta), least, most, least)) - wanted
        if abs(gap) < best_gap:
            best, best_gap = theta, abs(gap)
        low, high = (theta, high) if gap < 0 else (low, theta)
    return best


def in_triangle_mass(band: np.ndarray, first: int, end: int) -> np.ndarray:
    """What each token of a span receives from the span's tokens behind it and from itself.

    Source: Ltri-LLM, arXiv 2412.04757, step 4; the content of index vectors is ours (unseen).
    Oracle: tests/kv/retrieval/test_spans.py::test_column_mass_equals_brute_force
    """
    size = end - first
    rows, back = np.arange(size)[:, None], np.arange(size)
    distance = rows - back  # of row i to column j
    seen = (distance >= 0) & (distance < band.shape[1])
    cells = band[first + rows, np.clip(distance, 0, band.shape[1] - 1)]
    return np.where(seen, cells, 0.0).sum(axis=0)
