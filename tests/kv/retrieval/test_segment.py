"""Where spans are closed, and where they stay open."""

from typing import Any

import numpy as np
import pytest

from burnish.kv.retrieval.segment import Pending, Pieces, Surprises, Triangles

NO_BAND = np.zeros((0, 1))


def pending(band: Any, num: int, *, surprise: Any = (), seed: int = 0) -> Pending:
    told = np.array(surprise, dtype=float)
    return Pending(band=band, num_tokens=num, theta=0.05, surprise=told, seed=seed)


def planted(sizes: list[int], width: int = 16) -> np.ndarray:
    band = np.zeros((sum(sizes), width))
    row = 0
    for size in sizes:
        for i in range(size):
            band[row, : i + 1] = 1 / (i + 1)
            row += 1
    return band


def triangles(**given: Any) -> Triangles:
    return Triangles(
        how="best", theta=0.05, least_tokens=1, most_tokens=16, mean_tokens=8.0, **given
    )


def check_open_tail(cut: Any) -> None:
    band = planted([6, 9, 7, 8])
    assert cut(pending(band, 18)) == [(0, 6), (6, 15)]  # the third would end at 22
    assert cut(pending(band, 22)) == [(0, 6), (6, 15), (15, 22)]


def test_a_span_across_the_edge_stays_open() -> None:
    check_open_tail(triangles().cut)


def test_planted_cut_at_the_edge() -> None:
    def short(pending: Pending) -> Any:
        found = triangles().cut(
            Pending(**{**vars(pending), "band": pending.band[: pending.num_tokens]})
        )
        return found

    with pytest.raises(AssertionError):
        check_open_tail(short)


def test_shuffled_spans_have_the_same_lengths() -> None:
    band = planted([6, 9, 7, 8, 3, 5])
    found = triangles(shuffled=True).cut(pending(band, 38, seed=3))
    plain = triangles().cut(pending(band, 38))
    assert sorted(b - a for a, b in found) == sorted(b - a for a, b in plain)
    assert found != plain and [a for a, _ in found] == [0, *(b for _, b in found[:-1])]


def test_pieces() -> None:
    assert Pieces(size=4).cut(pending(NO_BAND, 11)) == [(0, 4), (4, 8)]
    assert Pieces(size=4).calibrated(NO_BAND) is None


def check_surprises(cut: Any) -> None:
    values = [1.0, 1.1, 0.9, 1.05, 1.0, 9.0, 1.0, 1.1, 1.0, 0.9, 1.0, 8.0, 1.0]
    assert cut(pending(NO_BAND, 12, surprise=values)) == [(0, 5), (5, 11)]
    assert cut(pending(NO_BAND, 12, surprise=[np.nan] * 13)) == [(0, 7)]


def test_surprising_tokens_begin_spans() -> None:
    check_surprises(Surprises(gamma=1.5, least_tokens=3, most_tokens=7, window_tokens=12).cut)


def test_planted_threshold_without_a_deviation() -> None:
    with pytest.raises(AssertionError):
        check_surprises(Surprises(gamma=0.0, least_tokens=1, most_tokens=7, window_tokens=12).cut)
