"""The alpha curve of scores whose neutral alpha is planted."""

import json
from typing import Any

import numpy as np
import pytest

from burnish.base.errors import IncompleteError
from burnish.prefer.alpha_curve import Curve, alpha_curve
from burnish.prefer.measure import Scores


def planted(neutral: float, *, num: int = 400, noise: float = 0.3, seed: int = 0) -> Scores:
    """Tail margins grow by 0.05 nats per token of excess, public ones fall; zero at `neutral`."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(5, 60, (num, 2))
    excess = lengths[:, 0] - lengths[:, 1]
    public = -neutral * 0.05 * excess + rng.normal(scale=noise, size=num)
    tail = 0.05 * excess
    zeros = np.zeros(num)
    return Scores(
        lengths=lengths,
        public=np.stack([public, zeros], axis=1),
        tail=np.stack([np.maximum(tail, 0), np.maximum(-tail, 0)], axis=1),
    )


def check_neutral(curve: Any, neutral: float) -> None:
    found = curve(planted(neutral))
    alpha = found.length_neutral_alpha
    assert alpha.low <= neutral <= alpha.high
    assert alpha.high - alpha.low < 0.2
    assert alpha.n == found.num_pairs == 400
    assert not found.clipped
    slopes = dict(zip(found.alpha, (one.value for one in found.slope), strict=True))
    for step in found.alpha:  # a line through zero at the neutral alpha
        assert slopes[step] == pytest.approx(0.05 * (step - alpha.value), abs=1e-9)


@pytest.mark.parametrize("neutral", [0.25, 0.6])
def test_neutral_alpha_is_the_planted_one(neutral: float) -> None:
    check_neutral(alpha_curve, neutral)


def test_planted_slope_of_the_whole_margin() -> None:
    """Taking the whole margin for the tail's would move the zero."""

    def wrong(scores: Scores) -> Curve:
        whole = Scores(
            lengths=scores.lengths, public=scores.public, tail=scores.public + scores.tail
        )
        return alpha_curve(whole)

    with pytest.raises(AssertionError):
        check_neutral(wrong, 0.25)


@pytest.mark.parametrize(("neutral", "at"), [(1.7, 1.0), (-0.6, 0.0)])
def test_no_zero_within_is_said(neutral: float, at: float) -> None:
    found = alpha_curve(planted(neutral, noise=0.01))
    assert found.clipped and found.length_neutral_alpha.value == at


def test_json_has_the_promised_keys() -> None:
    told = json.loads(json.dumps(alpha_curve(planted(0.5, num=30)).to_dict(), allow_nan=False))
    assert len(told["alpha"]) == len(told["slope"]) == len(told["accuracy"]) == 11
    assert 0 <= told["length_neutral_alpha"] <= 1
    assert {"low", "high", "n", "value"} == told["intervals"]["length_neutral_alpha"].keys()


def test_an_untrained_policy_has_no_curve() -> None:
    still = planted(0.5)
    zero = np.zeros_like(still.public)
    with pytest.raises(IncompleteError, match="Give a trained policy"):
        alpha_curve(Scores(lengths=still.lengths, public=zero, tail=zero))
