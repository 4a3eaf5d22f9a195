"""The paper's Algorithm 1: join scores, sort, and walk for diversity under a budget."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import stats

from burnish.base.rng import stream
from burnish.curate.greedy import greedy
from burnish.curate.rivals import deita_rule
from burnish.curate.settings import PickSettings

DEITA_BATCH = 1024
CHUNK_ROWS = 4096
EMPTY, BUDGET, CHOSEN = ({"reason": why} for why in ("empty", "budget", "chosen"))  # never changed


@dataclass
class Candidates:
    """The input of a choice. Quality is NaN if not executable; `given` is a finished score, if any.

    `vectors` may be None where diversity is off; `tokens` where the budget counts rows.
    """

    complexity: Float[np.ndarray, " R"]
    quality: Float[np.ndarray, " R"]
    given: Float[np.ndarray, " R"]
    empty: list[bool]
    vectors: Float[np.ndarray, "R d"] | None = None
    tokens: Int[np.ndarray, " R"] | None = None


@dataclass
class Picked:
    """The chosen rows in order of choice, and every row's score and reason."""

    chosen: list[int]
    scores: Float[np.ndarray, " R"]
    reasons: list[dict[str, Any]] = field(default_factory=list)


def normalised(values: Float[np.ndarray, " R"], how: str) -> Float[np.ndarray, " R"]:
    """Values in [0, 1]; NaN stays NaN. `rank`: the share of rows below, ties in the middle.

    Source: the paper does not say how; `minmax` is the usual reading.
    Oracle: tests/curate/test_picking.py::test_normalised_by_hand
    """
    found = np.full(len(values), np.nan)
    there = np.isfinite(values)
    some = values[there]
    if not len(some):
        return found
    if how == "rank":
        found[there] = (stats.rankdata(some) - 0.5) / len(some)
    else:
        width = some.max() - some.min()
        found[there] = (some - some.min()) / width if width else 0.5
    return found


def joined(candidates: Candidates, settings: PickSettings) -> Float[np.ndarray, " R"]:
    """Alpha c' + (1 - alpha) q'; complexity alone where a row has no quality.

    A score that a row brings wins. Rows with and without quality are normalised apart, so that a
    row that cannot be run is neither punished nor preferred for it.
    Source: XCoder, arXiv 2409.03810, Algorithm 1; `deita`: the product, as DEITA.
    Oracle: tests/curate/test_picking.py::test_alpha_at_its_ends_gives_single_rankings
    """
    complexity, quality = candidates.complexity, candidates.quality
    runs = np.isfinite(quality)
    if settings.rule == "deita":
        found = complexity * np.where(runs, quality, 1.0)
    else:
        found = np.empty(len(complexity))
        for some in (runs, ~runs):
            c = normalised(complexity[some], settings.normalise)
            q = normalised(quality[some], settings.normalise)
            found[some] = np.where(np.isfinite(q), settings.alpha * c + (1 - settings.alpha) * q, c)
    return np.where(np.isfinite(candidates.given), candidates.given, found)


def finite_rows(
    vectors: Float[np.ndarray, "R d"], rows: Int[np.ndarray, " k"]
) -> Bool[np.ndarray, " k"]:
    """Which of these rows are finite, a chunk at a time: the vectors may be mapped from a file."""
    parts = [rows[i : i + CHUNK_ROWS] for i in range(0, len(rows), CHUNK_ROWS)]
    found = [np.isfinite(vectors[part]).all(axis=1) for part in parts]
    return np.concatenate(found) if found else np.zeros(0, dtype=bool)


def pick(candidates: Candidates, settings: PickSettings) -> Picked:
    """Choose rows; every row has a reason.

    A row over the token budget is passed over, and smaller ones behind it may still fit.
    Source: XCoder, arXiv 2409.03810, Algorithm 1.
    Oracle: tests/curate/test_picking.py::test_equals_a_walk_by_hand
    """
    num = len(candidates.complexity)
    scores = joined(candidates, settings)
    if settings.rule == "random":
        scores = stream(settings.seed, "pick").permutation(num).astype(np.float64)
    usable = np.array([i for i in range(num) if not candidates.empty[i]], dtype=np.int64)
    unscored = usable[~np.isfinite(scores[usable])]
    usable = usable[np.isfinite(scores[usable])]
    reasons: list[dict[str, Any]] = [EMPTY] * num
    if candidates.vectors is not None:
        there = finite_rows(candidates.vectors, usable)
        for row in usable[~there]:
            reasons[row] = {"reason": "bad embedding"}
        usable = usable[there]
    order = usable[np.argsort(-scores[usable], kind="stable")]
    for row in unscored:
        reasons[row] = {"reason": "unscored"}
    walk = _diverse(candidates, order, settings, reasons)
    chosen = _within(candidates, walk, settings, reasons)
    return Picked(chosen, scores, reasons)


def _diverse(
    candidates: Candidates,
    order: Int[np.ndarray, " k"],
    settings: PickSettings,
    reasons: list[dict[str, Any]],
) -> list[int]:
    """The rows that the walk chooses, in order; the others with the row that they are near to."""
    if settings.rule == "random" or settings.threshold >= 1 or candidates.vectors is None:
        return order.tolist()
    if settings.rule == "deita":
        vectors = candidates.vectors[order]
        kept = deita_rule(vectors, threshold=settings.threshold, batch_rows=DEITA_BATCH)
        left = set(order.tolist()) - set(order[kept].tolist())
        for row in left:
            reasons[row] = {"reason": "near", "of": None}
        return order[kept].tolist()
    budget = settings.budget or None
    found = greedy(candidates.vectors, threshold=settings.threshold, budget=budget, order=order)
    for place, row in enumerate(order):
        if np.isnan(found.nearest[place]):
            reasons[row] = BUDGET
        else:
            near = int(order[found.by[place]]) if found.by[place] >= 0 else None
            similarity = round(float(found.nearest[place]), 4) if near is not None else None
            reasons[row] = {"reason": "near", "of": near, "similarity": similarity}
    return order[found.chosen].tolist()


def _within(
    candidates: Candidates,
    walk: Sequence[int],
    settings: PickSettings,
    reasons: list[dict[str, Any]],
) -> list[int]:
    """The rows that the budget has room for."""
    chosen, left = list[int](), settings.tokens
    for row in walk:
        if settings.budget:
            fits = len(chosen) < settings.budget
        else:
            assert candidates.tokens is not None
            fits = int(candidates.tokens[row]) <= left
            left -= int(candidates.tokens[row]) if fits else 0
        reasons[row] = CHOSEN if fits else BUDGET
        if fits:
            chosen.append(row)
    return chosen
