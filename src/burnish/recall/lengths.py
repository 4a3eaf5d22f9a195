"""From accuracies to memory lengths and states."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np

from burnish.base.hypotheses import holm
from burnish.base.rng import stream
from burnish.base.stats import Estimate, bootstrap, paired_difference

State = Literal["fine", "coarse", "amnesia", "collapse", "failed"]
ALPHA = 0.05
LEAST_P = 1e-4  # what resampling can tell
COLLAPSE_SHARE = 0.5  # of the plateau of the language-model curve
LEAST_PLATEAU = 0.05  # a plateau below says nothing, as with random tokens
NUM_RESAMPLES = 4000
OUTLIER_GAP, OUTLIER_SPREADS, LEAST_TRIALS = 0.2, 5.0, 4


def longest(lengths: Sequence[int], holds: Sequence[bool | None]) -> int:
    """The last length before the first that fails; None (not measured) is skipped; 0 if none holds.

    Source: ours; the paper names fine and coarse memory length, its code computes neither.
    Oracle: tests/recall/test_lengths.py::test_longest_by_hand
    """
    found = 0
    for length, good in zip(lengths, holds, strict=True):
        if good is False:
            break
        found = length if good else found
    return found


def share_estimate(values: np.ndarray, *, seed: int, name: str) -> Estimate:
    """Mean of one accuracy a trial; trials that all agree still have an interval.

    Source: base/stats; the constant case is that of `paired_difference` against zero.
    Oracle: tests/recall/test_lengths.py::test_equal_trials_keep_an_interval
    """
    rng = stream(seed, "share", name)
    if np.ptp(values) > 0:
        return bootstrap(values, rng=rng)
    half = 1 - (ALPHA / 2) ** (1 / len(values))
    value = float(values[0])
    return Estimate(
        value=value, low=max(0.0, value - half), high=min(1.0, value + half), n=len(values)
    )


def gap_estimate(
    lm: np.ndarray, copy: np.ndarray, *, seed: int, name: str, confidence: float = 0.95
) -> Estimate:
    """Copy minus language-model accuracy, paired by trial.

    Every trial is a group of many tokens, so accuracies of exactly 0 and 1 are no coin flips.
    Source: base/stats. Oracle: tests/recall/test_lengths.py::test_p_value_agrees_with_the_interval
    """
    found = paired_difference(
        lm,
        copy,
        rng=stream(seed, "gap", name),
        groups=list(range(len(lm))),
        num_resamples=NUM_RESAMPLES,
        confidence=confidence,
    )
    return dataclasses.replace(found, low=max(-1.0, found.low), high=min(1.0, found.high))


def margin_p_value(
    lm: np.ndarray, copy: np.ndarray, *, margin: float, seed: int, name: str
) -> float:
    """The smallest alpha at which the interval of copy - lm lies above `margin`; 1 if none does.

    Source: inversion of the house's paired interval, by bisection.
    Oracle: tests/recall/test_lengths.py::test_p_value_agrees_with_the_interval
    """

    def above(alpha: float) -> bool:
        found = gap_estimate(lm, copy, seed=seed, name=name, confidence=1 - alpha)
        return found.low > margin

    if float((copy - lm).mean()) <= margin or not above(0.99):
        return 1.0
    if above(LEAST_P):
        return LEAST_P
    low, high = np.log(LEAST_P), np.log(0.99)
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (low, middle) if above(float(np.exp(middle))) else (middle, high)
    return float(np.exp(high))


def adjusted(pvalues: Sequence[float | None]) -> list[float | None]:
    """p-values after Holm's correction over the measured lengths."""
    given = iter(holm([p for p in pvalues if p is not None]))
    return [None if p is None else next(given) for p in pvalues]


def collapsed(
    lm: Sequence[float | None], copy: Sequence[float | None], usual: Sequence[bool]
) -> list[bool]:
    """Where the model is broken: it predicts less than half as well as at shorter lengths.

    The plateau is the median of the language-model curve over shorter lengths that have not
    collapsed; a model that still copies better than that is not broken. Where it is, "forgot"
    means nothing: the model fails without having to remember.
    Source: ours; Llama-3-8B's published curve needs it (copy and LM both fall to 5-8%).
    Oracle: tests/recall/test_lengths.py::test_collapse_on_the_published_numbers
    """
    plateau: list[float] = []
    found = []
    for value, copied, counts in zip(lm, copy, usual, strict=True):
        base = float(np.median(plateau)) if plateau else 0.0
        broken = (
            value is not None
            and copied is not None
            and base >= LEAST_PLATEAU
            and value < COLLAPSE_SHARE * base
            and copied < base
        )
        found.append(broken)
        if counts and value is not None and not broken:
            plateau.append(value)
    return found


def state_of(*, copy: float, adjusted_p: float, broken: bool, fine_share: float) -> State:
    """What a length shows: collapse before memory, perfect before some, else amnesia."""
    if broken:
        return "collapse"
    if copy >= fine_share:
        return "fine"
    return "coarse" if adjusted_p < ALPHA else "amnesia"


def length_estimate(
    lengths: Sequence[int], values: np.ndarray, threshold: float, *, seed: int, name: str
) -> Estimate:
    """The length up to which the mean over trials stays at `threshold` or above, by trials.

    `values[trial, length]`; columns without a number are passed over.
    Source: ours. Oracle: tests/recall/test_lengths.py::test_length_interval_covers_planted_cliffs
    """

    def statistic(picks: np.ndarray) -> float:
        means = values[picks.astype(int)].mean(axis=0)
        holds = [None if np.isnan(mean) else bool(mean >= threshold) for mean in means]
        return float(longest(lengths, holds))

    return bootstrap(
        np.arange(len(values)), rng=stream(seed, "length", name), statistic=statistic,
        num_resamples=1000,
    )  # fmt: skip


def contaminated(lm: np.ndarray) -> list[int]:
    """Trials whose text the model knows already: language-model accuracy far above the others'.

    More than 0.2, and five spreads (1.48 median absolute deviations), above the median trial.
    Source: ours; in the paper's Llama-3 data one passage reads 0.868 against a mean of 0.53.
    Oracle: tests/recall/test_lengths.py::test_a_known_passage_is_flagged
    """
    if len(lm) < LEAST_TRIALS:
        return []
    means = np.nanmean(lm, axis=1)
    above = means - np.median(means)
    spread = 1.4826 * float(np.median(np.abs(above)))
    limit = max(OUTLIER_GAP, OUTLIER_SPREADS * spread)
    return [int(trial) for trial in np.flatnonzero(above > limit)]
