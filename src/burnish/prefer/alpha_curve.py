"""The whole alpha curve from one evaluation, and the alpha at which length has no effect."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from burnish.base.errors import IncompleteError
from burnish.base.rng import stream
from burnish.base.stats import Estimate
from burnish.prefer.association import estimate, slope
from burnish.prefer.measure import Scores

ALPHAS = tuple(step / 10 for step in range(11))


@dataclass(frozen=True, kw_only=True)
class Curve:
    """For each alpha: slope of the margin [nats per token of excess length], and accuracy.

    `length_neutral_alpha` is where the slope is zero, clipped to [0, 1]: `clipped` says that the
    line is not zero within.
    """

    alpha: tuple[float, ...]
    slope: tuple[Estimate, ...]
    accuracy: tuple[float, ...]
    length_neutral_alpha: Estimate
    clipped: bool
    num_pairs: int

    def to_dict(self) -> dict[str, Any]:
        """Numbers by name; intervals of the slopes and of alpha under `intervals`."""
        slopes = [asdict(one) for one in self.slope]
        neutral = self.length_neutral_alpha
        return asdict(self) | {
            "slope": [one.value for one in self.slope],
            "length_neutral_alpha": neutral.value,
            "intervals": {"slope": slopes, "length_neutral_alpha": asdict(neutral)},
        }


def alpha_curve(scores: Scores, *, alphas: Sequence[float] = ALPHAS, seed: int = 0) -> Curve:
    """The margin is linear in alpha, so four numbers a pair give every alpha.

    Raises IncompleteError where the tails' margins do not change with length, as they do not
    while the policy is the reference.
    Source: ours. Oracle: tests/prefer/test_alpha_curve.py::test_neutral_alpha_is_the_planted_one
    """
    excess, public, tail = scores.excess, scores.margins(0.0), scores.margins() - scores.margins(0)
    num = len(excess)
    if slope(excess, tail) == 0:
        rule = "must change with length to have a length-neutral alpha"
        remedy = "Give a trained policy, and a reference that is another model"
        raise IncompleteError("margin of the tails", 0.0, rule, remedy=remedy)

    def unclipped(drawn: np.ndarray) -> float:
        return _neutral(slope(excess[drawn], public[drawn]), slope(excess[drawn], tail[drawn]))

    def measured(alpha: float) -> Estimate:
        def statistic(drawn: np.ndarray) -> float:
            return slope(excess[drawn], public[drawn] + alpha * tail[drawn])

        return estimate(statistic, num, stream(seed, "curve"))

    value = unclipped(np.arange(num))
    return Curve(
        alpha=tuple(alphas),
        slope=tuple(measured(alpha) for alpha in alphas),
        accuracy=tuple(float((scores.margins(alpha) > 0).mean()) for alpha in alphas),
        length_neutral_alpha=estimate(
            lambda drawn: float(np.clip(unclipped(drawn), 0, 1)), num, stream(seed, "neutral")
        ),
        clipped=not 0 <= value <= 1,
        num_pairs=num,
    )


def _neutral(of_public: float, of_tail: float) -> float:
    """Zero of `of_public + alpha * of_tail`; a resample without tails keeps all of them."""
    return -of_public / of_tail if of_tail != 0 else 1.0
