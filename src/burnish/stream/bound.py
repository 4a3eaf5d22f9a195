"""How much attention a reader can have missed at most, from the spans that it did not read."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Balls:
    """Keys of each span as a ball: centre, radius, and how many there are."""

    centres: np.ndarray
    radii: np.ndarray
    sizes: np.ndarray

    @classmethod
    def around(cls, keys: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> "Balls":
        """The balls around the keys `[T D]` of spans."""
        cut = [keys[s : s + n] for s, n in zip(starts, lengths, strict=True)]
        centres = np.stack([own.mean(0) for own in cut])
        apart = [np.linalg.norm(own - c, axis=1).max() for own, c in zip(cut, centres, strict=True)]
        return cls(centres=centres, radii=np.array(apart), sizes=np.asarray(lengths))


def span_bounds(query: np.ndarray, balls: Balls) -> np.ndarray:
    """Logarithm of the largest sum of exponentials that each span can have.

    log n + (q . c + |q| r) / sqrt(D): no key of a ball has a larger product with the query.
    Source: ours (Cauchy-Schwarz).
    Oracle: tests/stream/test_bound.py::test_the_bound_is_never_violated
    """
    products = balls.centres @ query + np.linalg.norm(query) * balls.radii
    return np.log(balls.sizes) + products / np.sqrt(len(query))


def missed_bound(log_kept: float, unread: np.ndarray) -> float:
    """Largest share of one head's attention that lies in unread spans: M / (Z + M).

    Holds for one layer's attention with the keys it has; nothing is said of later layers.
    Source: ours. Oracle: tests/stream/test_bound.py::test_the_bound_is_never_violated
    """
    if len(unread) == 0:
        return 0.0
    log_missed = float(np.logaddexp.reduce(unread))
    return float(1 / (1 + np.exp(min(700.0, log_kept - log_missed))))


def tokens_for_bound(
    query: np.ndarray, keys: np.ndarray, starts: np.ndarray, balls: Balls, *,
    log_kept: float, bound: float,
) -> int:  # fmt: skip
    """Far tokens to be read, in whole spans by their bounds, until at most `bound` is missed.

    Source: ours. Oracle: tests/stream/test_bound.py::test_the_adaptive_budget_meets_the_bound
    """
    each = span_bounds(query, balls)
    order = np.argsort(-each, kind="stable")
    total, num = log_kept, 0
    for place, span in enumerate(order):
        if missed_bound(total, each[order[place:]]) <= bound:
            return num
        own = keys[starts[span] : starts[span] + balls.sizes[span]] @ query / np.sqrt(len(query))
        total = float(np.logaddexp(total, np.logaddexp.reduce(own)))
        num += int(balls.sizes[span])
    return num
