"""The bound on missed attention, against the attention itself."""

from typing import Any

import numpy as np
import pytest

from burnish.stream import bound
from burnish.stream.bound import Balls, missed_bound, span_bounds, tokens_for_bound


def draw(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    source = np.random.default_rng(seed)
    lengths = source.integers(1, 9, 12)
    starts = np.cumsum(lengths) - lengths
    keys = source.normal(size=(int(lengths.sum()), 6)) * source.uniform(0.2, 3)
    return source.normal(size=6), keys, starts, lengths


def check_bound(bounds: Any) -> None:
    for seed in range(40):
        query, keys, starts, lengths = draw(seed)
        each = bounds(query, Balls.around(keys, starts, lengths))
        mass = np.exp(keys @ query / np.sqrt(6))
        for num in (0, 1, 5, 12):
            read = np.zeros(len(keys), dtype=bool)
            for span in range(num):
                read[starts[span] : starts[span] + lengths[span]] = True
            kept = mass[read].sum() + 0.5  # what else was read
            missed = mass[~read].sum() / (kept + mass[~read].sum())
            assert missed <= missed_bound(float(np.log(kept)), each[num:]) + 1e-12


def test_the_bound_is_never_violated() -> None:
    check_bound(span_bounds)


def test_planted_bound_without_the_radius() -> None:
    def centres(query: np.ndarray, balls: Balls) -> np.ndarray:
        flat = Balls(centres=balls.centres, radii=0 * balls.radii, sizes=balls.sizes)
        return span_bounds(query, flat)

    with pytest.raises(AssertionError):
        check_bound(centres)


def test_balls_of_one_key_are_exact() -> None:
    query, keys, _, _ = draw(0)
    balls = Balls.around(keys, np.arange(len(keys)), np.ones(len(keys), dtype=int))
    np.testing.assert_allclose(span_bounds(query, balls), keys @ query / np.sqrt(6))


def check_adaptive() -> None:
    for seed in range(20):
        query, keys, starts, lengths = draw(seed)
        balls = Balls.around(keys, starts, lengths)
        mass = np.exp(keys @ query / np.sqrt(6))
        nums = []
        for limit in (0.5, 0.1, 0.01):
            num = tokens_for_bound(query, keys, starts, balls, log_kept=0.0, bound=limit)
            order = np.argsort(-span_bounds(query, balls), kind="stable")
            read = np.zeros(len(keys), dtype=bool)
            for span in order:
                if read.sum() < num:
                    read[starts[span] : starts[span] + lengths[span]] = True
            assert read.sum() == num
            assert mass[~read].sum() / (1 + mass.sum()) <= limit + 1e-12
            nums.append(num)
        assert nums == sorted(nums)


def test_the_adaptive_budget_meets_the_bound() -> None:
    check_adaptive()


def test_planted_adaptive_budget_that_reads_the_worst(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = missed_bound
    monkeypatch.setattr(bound, "missed_bound", lambda kept, unread: exact(kept + 3, unread))
    with pytest.raises(AssertionError):
        check_adaptive()
