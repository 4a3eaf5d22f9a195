"""How one quantity goes with another: ranks, Spearman, slope, area under the curve, intervals."""

from collections.abc import Callable

import numpy as np

from burnish.base.stats import Estimate, bootstrap

NUM_RESAMPLES = 1000
Statistic = Callable[[np.ndarray], float]  # of the indices of the pairs that were drawn


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Correlation of the ranks; 0 where one side does not vary, and nothing can go with it.

    Source: Spearman 1904, ties share their mean rank.
    Oracle: tests/prefer/test_association.py::test_equals_scipy
    """
    one, other = (_ranks(side) - (len(side) + 1) / 2 for side in (x, y))
    scale = np.sqrt((one**2).sum() * (other**2).sum())
    return float((one * other).sum() / scale) if scale > 0 else 0.0


def slope(x: np.ndarray, y: np.ndarray) -> float:
    """Least-squares change of `y` per unit of `x`; 0 if `x` does not vary.

    Source: ordinary least squares. Oracle: tests/prefer/test_association.py::test_equals_scipy
    """
    away = x - x.mean()
    spread = float((away**2).sum())
    return float((away * y).sum() / spread) if spread > 0 else 0.0


def paired_auc(differences: np.ndarray) -> float:
    """Area under the ROC curve of telling which of two answers was chosen by a difference alone.

    `differences` are chosen minus rejected; with the sides swapped they change their sign, so the
    area is the chance that one is greater than another's negative, ties counting half. 0.5: the
    difference tells nothing.
    Source: Mann & Whitney 1947, on the differences and their negatives.
    Oracle: tests/prefer/test_association.py::test_equals_scipy
    """
    negatives = np.sort(-differences)
    below = np.searchsorted(negatives, differences, side="left")
    up_to = np.searchsorted(negatives, differences, side="right")
    return float((below + up_to).sum() / 2 / len(differences) ** 2)


def estimate(statistic: Statistic, num: int, rng: np.random.Generator) -> Estimate:
    """A statistic over `num` pairs, with a bootstrap interval over whole pairs.

    Source: `burnish.base.stats.bootstrap`, given the pairs' indices as values.
    Oracle: tests/prefer/test_association.py::test_pairs_are_drawn_whole
    """

    def of_drawn(values: np.ndarray) -> float:
        return statistic(values.astype(int))

    indices = np.arange(num, dtype=float)
    return bootstrap(indices, rng=rng, statistic=of_drawn, num_resamples=NUM_RESAMPLES)


def _ranks(values: np.ndarray) -> np.ndarray:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (counts.cumsum() - (counts - 1) / 2)[places]
