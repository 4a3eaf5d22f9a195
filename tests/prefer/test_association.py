"""Ranks, slopes and areas against scipy."""

import numpy as np
import pytest

from burnish.base.rng import stream
from burnish.prefer.association import estimate, paired_auc, slope, spearman


def sample(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.integers(-5, 6, 41).astype(float)  # many ties
    return x, x * 0.3 + rng.normal(size=41).round(1)


@pytest.mark.parametrize("seed", range(5))
def test_equals_scipy(seed: int) -> None:
    from scipy import stats

    x, y = sample(seed)
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    assert slope(x, y) == pytest.approx(stats.linregress(x, y).slope, abs=1e-12)
    area = stats.mannwhitneyu(x, -x).statistic / len(x) ** 2
    assert paired_auc(x) == pytest.approx(area, abs=1e-12)


def test_area_by_hand() -> None:
    assert paired_auc(np.array([1.0, 2.0])) == 1.0
    assert paired_auc(np.array([-1.0, -2.0])) == 0.0
    assert paired_auc(np.array([0.0, 0.0])) == 0.5
    assert paired_auc(np.array([3.0, -1.0])) == 0.75  # of four comparisons one is lost


def test_nothing_goes_with_what_does_not_vary() -> None:
    still, moving = np.ones(4), np.arange(4.0)
    assert spearman(still, moving) == spearman(moving, still) == slope(still, moving) == 0.0


def test_pairs_are_drawn_whole() -> None:
    """A statistic that only holds while both columns keep their rows together."""
    x, y = np.arange(30.0), 2 * np.arange(30.0)
    found = estimate(lambda drawn: slope(x[drawn], y[drawn]), 30, stream(0, "t"))
    assert (found.value, found.n) == (2.0, 30)
    assert found.low == pytest.approx(2.0) == found.high


def test_planted_columns_drawn_apart() -> None:
    x, y = np.arange(30.0), 2 * np.arange(30.0)
    rng = np.random.default_rng(0)

    def apart(drawn: np.ndarray) -> float:
        return slope(x[drawn], y[rng.permutation(drawn)])

    assert estimate(apart, 30, stream(0, "t")).high - 2.0 < 0  # nowhere near
