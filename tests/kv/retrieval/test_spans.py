"""Spans against brute force, closed forms and planted blocks."""

import itertools
from typing import Any

import numpy as np
import pytest

from burnish.base.errors import SettingError
from burnish.kv.retrieval import spans
from burnish.kv.retrieval.spans import (
    best_spans,
    calibrate_theta,
    fill_gaps,
    greedy_spans,
    in_triangle_mass,
    triangle_scores,
)


def band_of(map_: np.ndarray, width: int) -> np.ndarray:
    num = len(map_)
    band = np.zeros((num, width))
    for i in range(num):
        for d in range(min(width, i + 1)):
            band[i, d] = map_[i, i - d]
    return band


def blocks_map(sizes: list[int]) -> np.ndarray:
    """Each row is uniform over its own block's prefix."""
    map_ = np.zeros((sum(sizes), sum(sizes)))
    begin = 0
    for size in sizes:
        for i in range(size):
            map_[begin + i, begin : begin + i + 1] = 1 / (i + 1)
        begin += size
    return map_


def lower(num: int, seed: int = 0) -> np.ndarray:
    return np.tril(np.random.default_rng(seed).random((num, num)) ** 3)


def check_brute(scores: Any) -> None:
    map_, theta = lower(19), 0.21
    found = scores(band_of(map_, 7), theta)
    for x, k in itertools.product(range(19), range(7)):
        if x + k >= 19:
            assert found[x, k] == -np.inf
            continue
        wanted = sum(map_[i, j] - theta for i in range(x, x + k + 1) for j in range(x, i + 1))
        assert found[x, k] == pytest.approx(wanted, abs=1e-12)


def test_scores_equal_brute_force() -> None:
    check_brute(triangle_scores)


def test_planted_threshold_over_the_square() -> None:
    def square(band: np.ndarray, theta: float) -> np.ndarray:
        size = np.arange(band.shape[1])
        return triangle_scores(band, theta) - theta * size * (size + 1) / 2

    with pytest.raises(AssertionError):
        check_brute(square)


def test_uniform_attention_has_a_closed_form() -> None:
    num, theta = 40, 0.03
    map_ = np.tril(1 / (np.arange(num)[:, None] + 1.0) * np.ones(num))
    found = triangle_scores(band_of(map_, num), theta)
    harmonic = np.concatenate(([0.0], np.cumsum(1 / np.arange(1, num + 1))))
    for x, y in ((0, 0), (0, 39), (3, 17), (20, 39)):
        n = y - x + 1
        wanted = n - x * (harmonic[y + 1] - harmonic[x]) - theta * n * (n + 1) / 2
        assert found[x, n - 1] == pytest.approx(wanted, abs=1e-10)


def check_greedy(find: Any) -> None:
    for seed in range(5):
        scores = triangle_scores(band_of(lower(30, seed), 9), 0.3)
        wanted: list[tuple[int, int]] = []
        every = [(scores[x, k], x, k) for x in range(30) for k in range(1, 9)]
        for score, x, k in sorted(every, key=lambda one: -one[0]):
            if score > 0 and all(x + k < a or b <= x for a, b in wanted):
                wanted.append((x, x + k + 1))
        assert find(scores, 2, 9, 9) == fill_gaps(sorted(wanted), 30, 9)


def test_greedy_equals_sorting_all() -> None:
    check_greedy(greedy_spans)


def check_best(find: Any) -> None:
    for seed in range(4):
        scores = triangle_scores(band_of(lower(11, seed), 5), 0.28)

        def total(bounds: Any, scores: Any = scores) -> float:
            sizes = ((a, b - a) for a, b in bounds)
            return sum(max(scores[x, n - 1], 0.0) for x, n in sizes if n >= 2)

        wanted = 0.0
        for cuts in itertools.product((0, 1), repeat=10):
            ends = [0, *(i + 1 for i, cut in enumerate(cuts) if cut), 11]
            bounds = list(itertools.pairwise(ends))
            if all(b - a <= 5 for a, b in bounds):
                wanted = max(wanted, total(bounds))
        assert total(find(scores, 2, 5, 5)) == pytest.approx(wanted)
        assert total(find(scores, 2, 5, 5)) >= total(greedy_spans(scores, 2, 5, 5)) - 1e-9


def test_best_total_equals_all_partitions() -> None:
    check_best(best_spans)


def test_planted_greedy_is_not_the_best() -> None:
    with pytest.raises(AssertionError):
        check_best(greedy_spans)
    with pytest.raises(AssertionError):
        check_greedy(best_spans)


@pytest.mark.parametrize("sizes", [[8] * 4, [4, 12, 6, 10], [3, 9, 5, 7]])
@pytest.mark.parametrize("theta", [0.002, 0.02, 0.07])
def test_planted_blocks_come_back_exactly(sizes: list[int], theta: float) -> None:
    band = band_of(blocks_map(sizes), 16)
    ends = np.cumsum([0, *sizes]).tolist()
    assert best_spans(triangle_scores(band, theta), 1, 16, 16) == list(itertools.pairwise(ends))


def test_greedy_finds_equal_blocks_in_its_narrow_range_only() -> None:
    scores = band_of(blocks_map([8] * 4), 16)
    wanted = [(0, 8), (8, 16), (16, 24), (24, 32)]
    assert greedy_spans(triangle_scores(scores, 0.12), 1, 16, 16) == wanted
    assert greedy_spans(triangle_scores(scores, 0.02), 1, 16, 16) != wanted


@pytest.mark.parametrize("find", [greedy_spans, best_spans])
def test_no_token_is_lost(find: Any) -> None:
    for seed, theta in ((0, 0.0), (1, 0.3), (2, 9.0)):
        found = find(triangle_scores(band_of(lower(53, seed), 11), theta), 3, 11, 11)
        assert [first for first, _ in found] == [0, *(end for _, end in found[:-1])]
        assert found[-1][1] == 53
        assert max(end - first for first, end in found) <= 11


def test_planted_gaps_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "fill_gaps", lambda chosen, num, piece: list(chosen))
    with pytest.raises((AssertionError, IndexError)):
        test_no_token_is_lost(best_spans)


def test_theta_gives_the_wanted_length() -> None:
    band = band_of(lower(200, 4), 32)
    for wanted in (4.0, 8.0):
        theta = calibrate_theta(band, best_spans, least=1, most=32, mean_tokens=wanted)
        found = best_spans(triangle_scores(band, theta), 1, 32, 1)
        assert 200 / len(found) == pytest.approx(wanted, rel=0.25)
    with pytest.raises(SettingError, match="must contain rows"):
        calibrate_theta(band[:0], best_spans, least=1, most=8, mean_tokens=4.0)


def check_mass(mass: Any) -> None:
    map_ = lower(20)
    found = mass(band_of(map_, 8), 5, 12)
    wanted = [sum(map_[i, j] for i in range(j, 12)) for j in range(5, 12)]
    np.testing.assert_allclose(found, wanted)


def test_column_mass_equals_brute_force() -> None:
    check_mass(in_triangle_mass)


def test_planted_mass_of_rows() -> None:
    with pytest.raises(AssertionError):
        check_mass(lambda band, first, end: band[first:end].sum(axis=1))
