"""From shares to calibrated scores: the pool itself defines what is ordinary."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

LEAST_ROWS = 200  # fewer rows say nothing about tails
HIGH = 0.995  # of a reference's shares in all rows: only leaks of this very item lie above
LEAST_SPREAD = 0.02
LEAST_SCALE = 0.3  # where most rows are alike, small differences say nothing
LARGE = 700.0  # exp of more is infinite


@dataclass(frozen=True)
class Background:
    """What is ordinary for each reference: the median and a high quantile of its shares.

    A reference is one item's, so a leak of another item does not move it, and a leaked benchmark
    does not hide itself: an item would have to be leaked into one row in 200.
    """

    middle: Float[np.ndarray, " E"]
    high: Float[np.ndarray, " E"]

    @classmethod
    def of(cls, shares: Float[np.ndarray, "R E"]) -> "Background":
        """The background of a pool's shares."""
        return cls(*np.quantile(shares, (0.5, HIGH), axis=0))

    def excess(self, shares: Float[np.ndarray, "R E"]) -> Float[np.ndarray, "R E"]:
        """How far shares lie above the ordinary, in units of the reference's spread."""
        return (shares - self.high) / np.maximum(self.high - self.middle, LEAST_SPREAD)


@dataclass(frozen=True)
class Null:
    """The largest score of a row that leaks nothing: a Gumbel distribution.

    It is fitted between the median and the 90% quantile of a pool's rows, so up to a tenth of the
    rows may be leaks.
    Source: extreme values of many comparisons, as in BLAST (Karlin and Altschul 1990).
    Oracle: tests/curate/test_calibrate.py::test_rates_of_a_known_null
    """

    place: float
    scale: float

    @classmethod
    def of(cls, best: Float[np.ndarray, " R"]) -> "Null":
        """The null of rows' best scores."""
        middle, high = np.quantile(best, (0.5, 0.9))
        at = [-math.log(-math.log(p)) for p in (0.5, 0.9)]
        scale = max((high - middle) / (at[1] - at[0]), LEAST_SCALE)
        return cls(float(middle - scale * at[0]), float(scale))

    def threshold(self, rate: float) -> float:
        """The score that a row without a leak exceeds with this probability."""
        return self.place - self.scale * math.log(-math.log1p(-rate))

    def chance(self, scores: Float[np.ndarray, " R"]) -> Float[np.ndarray, " R"]:
        """The probability that a row without a leak has at least this score."""
        return -np.expm1(-np.exp(np.minimum(-(scores - self.place) / self.scale, LARGE)))


def discovery_rates(chances: Float[np.ndarray, " R"]) -> Float[np.ndarray, " R"]:
    """q-values: the share of false discoveries if all rows of at most this chance are flagged.

    Source: Benjamini and Hochberg 1995. Oracle: tests/curate/test_calibrate.py::test_q_values
    """
    order = np.argsort(chances, kind="stable")
    num = len(chances)
    raw = chances[order] * num / np.arange(1, num + 1)
    found = np.empty(num)
    found[order] = np.minimum(np.minimum.accumulate(raw[::-1])[::-1], 1.0)
    return found


def gram_weights(
    counts: Float[np.ndarray, " M"], num_rows: int, prior: float
) -> Float[np.ndarray, " M"]:
    """The weight of a shared gram: the log of its rarity among rows.

    `prior` rows without it are added, so that a small pool cannot make a gram worthless.
    Source: inverse document frequency, Spärck Jones 1972.
    """
    return np.log((num_rows + 1 + prior) / (counts + 1))
