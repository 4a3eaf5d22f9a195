"""Memory lengths and states, by hand and against planted truth."""

import functools
import itertools

import numpy as np
import pytest

from burnish.base.rng import stream
from burnish.base.stats import Estimate, paired_difference
from burnish.recall import lengths as module
from burnish.recall.lengths import (
    LEAST_P,
    NUM_RESAMPLES,
    adjusted,
    collapsed,
    contaminated,
    length_estimate,
    longest,
    margin_p_value,
    share_estimate,
    state_of,
)

LLAMA3 = [523, 2071, 4134, 4650, 5166, 5682, 6198, 9293]
LLAMA3_COPY = [0.999, 1.000, 0.999, 0.845, 0.502, 0.229, 0.092, 0.069]
LLAMA3_LM = [0.509, 0.527, 0.527, 0.437, 0.280, 0.129, 0.066, 0.050]


def check_longest(function) -> None:
    grid = [1, 2, 3, 4]
    for holds in itertools.product([True, False, None], repeat=4):
        wanted = 0
        for length, good in zip(grid, holds, strict=True):  # brute force over what may be last
            before = [h for n, h in zip(grid, holds, strict=True) if n <= length]
            if good and False not in before:
                wanted = length
        assert function(grid, holds) == wanted, holds


def test_longest_by_hand() -> None:
    check_longest(longest)


def test_planted_longest_that_skips_a_gap() -> None:
    def anywhere(grid, holds):
        return max((n for n, good in zip(grid, holds, strict=True) if good), default=0)

    with pytest.raises(AssertionError):
        check_longest(anywhere)


def test_equal_trials_keep_an_interval() -> None:
    found = share_estimate(np.ones(10), seed=0, name="x")
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(1 - (1 - 0.025 ** (1 / 10)))  # exceptions: Clopper-Pearson
    varied = share_estimate(np.array([0.4, 0.5, 0.6, 0.5]), seed=0, name="x")
    assert varied.value == pytest.approx(0.5)
    assert varied.low < varied.value < varied.high


@pytest.mark.parametrize("shift", [0.0, 0.03, 0.1, 0.2])
def test_p_value_agrees_with_the_interval(shift: float) -> None:
    rng = np.random.default_rng(4)
    lm = rng.uniform(0.3, 0.5, 7)
    copy = lm + shift + rng.normal(0.05, 0.06, 7)
    p = margin_p_value(lm, copy, margin=0.05, seed=0, name="a")
    assert LEAST_P <= p <= 1
    for alpha in (0.3, 0.05, 0.01):
        found = paired_difference(
            lm, copy, rng=stream(0, "gap", "a"), groups=list(range(7)),
            confidence=1 - alpha, num_resamples=NUM_RESAMPLES,
        )  # fmt: skip
        assert (found.low > 0.05) == (p <= alpha * 1.001)


def test_holm_leaves_out_what_was_not_measured() -> None:
    assert adjusted([0.01, None, 0.04]) == [0.02, None, 0.04]
    assert adjusted([]) == []


def check_collapse() -> None:
    """Llama-3-8B past its positions: both accuracies fall to a tenth."""
    assert collapsed(LLAMA3_LM, LLAMA3_COPY, [True] * 8) == [False] * 5 + [True] * 3


def test_collapse_on_the_published_numbers() -> None:
    check_collapse()
    zeros = [0.0] * 3
    assert collapsed([0.01, 0.0, 0.0], zeros, [True] * 3) == [False] * 3  # no plateau
    assert collapsed([0.9, 0.5, 0.5], zeros, [False, True, True]) == [False] * 3
    assert collapsed([0.5, None, 0.1], [0.5, None, 0.1], [True] * 3) == [False, False, True]
    assert collapsed([0.5, 0.1, 0.1], [1.0, 1.0, 0.2], [True] * 3) == [False, False, True]


def test_planted_plateau_of_all_lengths(monkeypatch) -> None:
    """Collapsed lengths must not lower what they are compared with."""
    monkeypatch.setattr(module.np, "median", lambda values: min(LLAMA3_LM))
    with pytest.raises(AssertionError):
        check_collapse()


@pytest.mark.parametrize(
    ("copy", "p", "broken", "state"),
    [
        (0.995, 0.001, False, "fine"),
        (0.98, 0.001, False, "coarse"),
        (0.6, 0.2, False, "amnesia"),
        (0.999, 0.001, True, "collapse"),
        (0.99, 0.5, False, "fine"),
    ],
)
def test_states(copy: float, p: float, broken: bool, state: str) -> None:
    assert state_of(copy=copy, adjusted_p=p, broken=broken, fine_share=0.99) == state


@functools.cache
def estimated_cliffs() -> list[tuple[int, Estimate]]:
    """Trials whose cliffs lie at different lengths: the mean's cliff, and what was estimated."""
    grid = list(range(10, 110, 10))
    rng = np.random.default_rng(2)
    found = []
    for seed in range(40):
        cliffs = rng.choice([40, 50, 60, 70, 80], 12)
        values = (np.array(grid)[None, :] <= cliffs[:, None]).astype(float)
        of_mean = longest(grid, (values.mean(axis=0) >= 0.5).tolist())
        found.append((of_mean, length_estimate(grid, values, 0.5, seed=seed, name="x")))
    return found


def check_cliffs(turned) -> None:
    """The interval holds the median cliff of the population."""
    inside = 0
    for of_mean, estimate in estimated_cliffs():
        found = turned(estimate)
        inside += found.low <= 60 <= found.high
        assert found.value == of_mean
    assert inside >= 34


def test_length_interval_covers_planted_cliffs() -> None:
    check_cliffs(lambda found: found)


def test_planted_interval_of_width_zero() -> None:
    def narrow(found):
        return type(found)(value=found.value, low=found.value, high=found.value, n=found.n)

    with pytest.raises(AssertionError):
        check_cliffs(narrow)


def test_a_known_passage_is_flagged() -> None:
    rng = np.random.default_rng(1)
    lm = np.clip(0.53 + rng.normal(0, 0.03, (10, 6)), 0, 1)
    assert contaminated(lm) == []
    lm[4] = 0.868  # as published at L = 1555
    assert contaminated(lm) == [4]
    assert contaminated(lm[3:6]) == []  # three trials have no typical one
    assert contaminated(1 - lm) == []  # unusually hard is no contamination
