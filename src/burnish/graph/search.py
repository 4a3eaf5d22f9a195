"""Exact top-K by inner product; ties go to the lower index, and a group never finds itself."""

from dataclasses import dataclass

import numpy as np
import torch

from burnish.base.errors import SettingError
from burnish.graph.settings import check_faiss

CHUNK = 256  # queries whose scores are held at once
SPARE = 8  # entries beyond K that show whether a tie crosses the border
NONE = -1  # index where there are fewer than K candidates


@dataclass(frozen=True, kw_only=True)
class Found:
    """`indices[q, i]` is query q's i-th candidate, best first, or -1; `scores` are its own."""

    indices: np.ndarray
    scores: np.ndarray

    def row(self, query: int) -> list[int]:
        """Candidates of one query, best first."""
        return [int(i) for i in self.indices[query] if i != NONE]


def top_k(
    queries: np.ndarray,
    keys: np.ndarray,
    k: int,
    *,
    query_groups: np.ndarray | None = None,
    key_groups: np.ndarray | None = None,
    engine: str = "exact",
) -> Found:
    """The `k` keys of largest inner product with each query.

    Keys of the query's own group are left out (equal numbers in `query_groups`, `key_groups`).
    `engine`: `exact`, or `faiss` for its flat index.
    Raises SettingError for k below 1 or an unknown engine, MissingExtraError.
    Source: ours. Oracle: tests/graph/test_search.py::test_equals_brute_force
    """
    if k < 1:
        raise SettingError("k", k, "must be at least 1", remedy="4 is usual")
    if engine not in ("exact", "faiss"):
        raise SettingError("engine", engine, "must be exact or faiss", remedy="Use exact")
    groups = None
    if query_groups is not None and key_groups is not None:
        groups = (query_groups, key_groups)
    if engine == "faiss":
        return _by_faiss(queries, keys, k, groups)
    indices = np.full((len(queries), k), NONE, dtype=np.int64)
    scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
    if not len(keys):
        return Found(indices=indices, scores=scores)
    own_keys = torch.from_numpy(np.ascontiguousarray(keys, dtype=np.float32))
    for start in range(0, len(queries), CHUNK):
        rows = slice(start, start + CHUNK)
        some = torch.from_numpy(np.ascontiguousarray(queries[rows], dtype=np.float32))
        values = some @ own_keys.T
        if groups is not None:
            same = torch.from_numpy(groups[0][rows, None] == groups[1][None])
            values.masked_fill_(same, -torch.inf)
        indices[rows], scores[rows] = _best(values, k)
    return Found(indices=indices, scores=scores)


def _best(values: torch.Tensor, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Largest k of every row, larger first, then lower index; -1 where only -inf is left."""
    width = min(values.shape[1], k + SPARE)
    best, places = values.topk(width, dim=1)
    best, places = best.numpy(), places.numpy()
    order = np.lexsort((places, -best), axis=1)
    best, places = np.take_along_axis(best, order, 1), np.take_along_axis(places, order, 1)
    if width < values.shape[1]:
        for row in np.flatnonzero((best[:, k - 1] == best[:, -1]) & (best[:, -1] > -np.inf)):
            own = values[row].numpy()
            places[row] = np.argsort(-own, kind="stable")[:width]
            best[row] = own[places[row]]
    found = np.full((len(best), k), NONE, dtype=np.int64)
    scores = np.full((len(best), k), -np.inf, dtype=np.float32)
    num = min(k, width)
    found[:, :num] = np.where(best[:, :num] > -np.inf, places[:, :num], NONE)
    scores[:, :num] = best[:, :num]
    return found, scores


def _by_faiss(
    queries: np.ndarray, keys: np.ndarray, k: int, groups: tuple[np.ndarray, np.ndarray] | None
) -> Found:
    check_faiss()
    import faiss  # pyright: ignore[reportMissingImports] - an extra

    index = faiss.IndexFlatIP(keys.shape[1])
    index.add(np.ascontiguousarray(keys, dtype=np.float32))
    spare = 0 if groups is None else int(np.unique(groups[1], return_counts=True)[1].max())
    rows = np.ascontiguousarray(queries, dtype=np.float32)
    values, places = index.search(rows, min(k + spare, len(keys)))
    if groups is not None:
        same = groups[0][:, None] == groups[1][places]
        values = np.where(same, -np.inf, values)
    order = np.lexsort((places, -values), axis=1)[:, :k]
    values, places = np.take_along_axis(values, order, 1), np.take_along_axis(places, order, 1)
    found = np.full((len(rows), k), NONE, dtype=np.int64)
    scores = np.full((len(rows), k), -np.inf, dtype=np.float32)
    found[:, : places.shape[1]] = np.where(values > -np.inf, places, NONE)
    scores[:, : places.shape[1]] = values
    return Found(indices=found, scores=scores)
