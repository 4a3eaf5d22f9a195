"""Estimates with intervals: the only interval code of the project.

Counts of independent trials: `wilson`. Paired comparisons: `paired_difference`. Anything else:
`bootstrap`. A gate's outcome: `decide`. p-values are in `hypotheses.py`.
"""

# scipy has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import dataclasses
import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np

from burnish.base.errors import SettingError

Outcome = Literal["pass", "fail", "undetermined"]
MAX_DRAWS = 2_000_000  # indices held at once while resampling: 16 MB

_NORMAL = NormalDist()


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A measured value with its interval and the number of units it was measured on."""

    value: float
    low: float
    high: float
    n: int

    def to_dict(self) -> dict[str, Any]:
        """Return the four fields, as a ledger row has them."""
        return dataclasses.asdict(self)


def wilson(successes: int, n: int, *, confidence: float = 0.95) -> Estimate:
    """Share of successes among `n` independent trials.

    Source: Wilson 1927, score interval without continuity correction.
    Oracle: tests/base/test_stats.py::test_wilson_equals_scipy
    """
    if n < 1:
        raise SettingError("n", n, "must be at least 1", remedy="Measure something first")
    if not 0 <= successes <= n:
        rule = f"must lie in [0, {n}]"
        raise SettingError("successes", successes, rule, remedy="Check the counts")
    z, p = _z(confidence), successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    low = 0.0 if successes == 0 else centre - half  # exact at the ends, where rounding is not
    high = 1.0 if successes == n else centre + half
    return Estimate(value=p, low=low, high=high, n=n)


def share_difference(
    successes: int, n: int, other_successes: int, other_n: int, *, confidence: float = 0.95
) -> Estimate:
    """Share of one sample less the share of an independent other; `n` is the first one's.

    Raises: SettingError, as `wilson` does.
    Source: Newcombe 1998, Statistics in Medicine 17:873-890, method 10.
    Oracle: tests/base/test_stats.py::test_share_difference_equals_newcombes_examples
    """
    one = wilson(successes, n, confidence=confidence)
    other = wilson(other_successes, other_n, confidence=confidence)
    value = one.value - other.value
    low = value - math.hypot(one.value - one.low, other.high - other.value)
    high = value + math.hypot(one.high - one.value, other.value - other.low)
    return Estimate(value=value, low=low, high=high, n=n)


def bootstrap(
    values: Sequence[float] | np.ndarray,
    *,
    rng: np.random.Generator,
    statistic: Callable[[np.ndarray], float] | None = None,
    groups: Sequence[Hashable] | None = None,
    num_resamples: int = 10_000,
    confidence: float = 0.95,
) -> Estimate:
    """Mean (or `statistic`) of `values`, with an interval that assumes no distribution.

    With `groups` (one label a value), whole groups are drawn: use it when one task gave several
    values. `n` stays the number of values. Values that do not vary give an interval of width
    zero, which says nothing of what was not seen: use `wilson` for counts.
    Raises: SettingError, for no finite values or fewer than two units to draw.

    Source: Efron 1987, bias-corrected and accelerated interval (BCa).
    Departure: its normal quantiles are widened to sqrt(m/(m-1)) times Student's, for m units, as
    Hesterberg 2015 (arXiv 1411.5279) does for percentiles. Simulated coverage of the mean at
    n = 8, plain and widened: 88% and 93% (normal values), 84% and 90% (exponential values).
    Oracle: tests/base/test_stats.py::test_bootstrap_equals_scipys_bca
    Oracle: tests/base/test_stats.py::test_bootstrap_covers_a_planted_mean
    """
    data = _finite("values", values)
    units = _units(len(data), groups)
    if len(units) < 2:
        rule = "must have at least two independent units"
        raise SettingError("values", len(units), rule, remedy="Measure more, or more groups")
    if statistic is None:
        sums = np.array([data[unit].sum() for unit in units])
        sizes = np.array([len(unit) for unit in units])
        draws = _resampled_means(sums, sizes, num_resamples=num_resamples, rng=rng)
        left_out = (sums.sum() - sums) / (sizes.sum() - sizes)
        value = float(data.mean())
    else:
        value = float(statistic(data))
        picks = (rng.integers(0, len(units), len(units)) for _ in range(num_resamples))
        if groups is None:  # each unit is one value: nothing to join, and the draws are the same
            draws = np.array([statistic(data[p]) for p in picks])
        else:
            joined = (np.concatenate([units[i] for i in p]) for p in picks)
            draws = np.array([statistic(data[one]) for one in joined])
        whole = np.arange(len(data))
        left_out = np.array([statistic(data[np.setdiff1d(whole, unit)]) for unit in units])
    low, high = _bca(value, draws, left_out, confidence=confidence)
    return Estimate(value=value, low=low, high=high, n=len(data))


def paired_difference(
    before: Sequence[float] | np.ndarray,
    after: Sequence[float] | np.ndarray,
    *,
    rng: np.random.Generator,
    groups: Sequence[Hashable] | None = None,
    num_resamples: int = 10_000,
    confidence: float = 0.95,
) -> Estimate:
    """Mean of `after - before` over pairs; never of width zero.

    Which interval: 0/1 data without groups take Tango's score interval. Differences that are
    all equal take `value +- scale * (1 - (alpha/2)**(1/m))`: m units without an exception bound
    the share of exceptions (Clopper-Pearson), each worth at most `scale`, the range of the
    values given (or their size, if they have no range). All else: `bootstrap` of the differences.
    Raises: SettingError, for empty, unequal or non-finite input.

    Source: Tango 1998, Statistics in Medicine 17:891-908; Efron 1987; the constant case is ours.
    Oracle: tests/base/test_stats.py::test_paired_proportions_equal_a_numeric_score_interval
    """
    old, new = _pairs(before, after)
    difference = new - old
    value = float(difference.mean())
    pooled = np.concatenate([old, new])
    if groups is None and np.isin(pooled, (0.0, 1.0)).all():
        gains, losses = int((difference > 0).sum()), int((difference < 0).sum())
        low, high = _tango(gains, losses, len(difference), z=_z(confidence))
        return Estimate(value=value, low=low, high=high, n=len(difference))
    if np.ptp(difference) == 0:
        num_units = len(_units(len(difference), groups))
        scale = float(np.ptp(pooled) or np.abs(pooled).max() or 1.0)
        half = scale * (1 - ((1 - confidence) / 2) ** (1 / num_units))
        return Estimate(value=value, low=value - half, high=value + half, n=len(difference))
    return bootstrap(
        difference, rng=rng, groups=groups, num_resamples=num_resamples, confidence=confidence
    )


def percentile_interval(
    draws: np.ndarray, *, num_units: int, num_fitted: int, confidence: float = 0.95
) -> tuple[float, float]:
    """Ends of the interval that refits to resampled data give; not finite draws are left out.

    `num_fitted` parameters were fitted to `num_units` by least squares: percentiles are taken
    further out, as resampled residuals are too small by sqrt(1 - num_fitted / num_units). With 0
    they are taken as they are, which suits fits that follow a median: their bootstrap is wide.
    Raises: SettingError, for fewer than two finite draws or no more units than parameters.
    Source: Hesterberg 2015 (arXiv 1411.5279), section 5.4, with the freedom of a fit.
    Oracle: tests/base/test_stats.py::test_percentiles_cover_a_planted_slope
    """
    from scipy.special import stdtrit

    finite = draws[np.isfinite(draws)]
    freedom = num_units - num_fitted
    if len(finite) < 2 or freedom < 1:
        rule = "must be at least two, and have more units than parameters"
        raise SettingError("draws", len(finite), rule, remedy="Resample more, or measure more")
    z = _z(confidence)
    if num_fitted:
        z = math.sqrt(num_units / freedom) * float(stdtrit(freedom, (1 + confidence) / 2))
    low, high = np.quantile(finite, [_NORMAL.cdf(-z), _NORMAL.cdf(z)])
    return float(low), float(high)


def ratio_of_means(
    above: Sequence[float], below: Sequence[float], *, confidence: float = 0.95
) -> Estimate:
    """Mean of `above` over mean of `below`, paired; infinite ends where `below` may be zero.

    Raises: SettingError, for unequal lengths or fewer than two pairs.
    Source: Fieller 1954, with Student's quantile.
    Oracle: tests/base/test_stats.py::test_ratio_covers_and_is_unbounded_where_it_must
    """
    from scipy.special import stdtrit

    low, high = _pairs(below, above)
    n = len(low)
    if n < 2:
        raise SettingError("pairs", n, "must be at least two", remedy="Measure more")
    t = float(stdtrit(n - 1, (1 + confidence) / 2))
    a, b = float(high.mean()), float(low.mean())
    v_a, v_b = float(high.var(ddof=1)) / n, float(low.var(ddof=1)) / n
    v_ab = float(np.cov(high, low)[0, 1]) / n
    lead = b * b - t * t * v_b
    middle = a * b - t * t * v_ab
    root = middle * middle - lead * (a * a - t * t * v_a)
    value = a / b if b else math.inf
    if lead <= 0 or root < 0:
        return Estimate(value=value, low=-math.inf, high=math.inf, n=n)
    ends = sorted([(middle - math.sqrt(root)) / lead, (middle + math.sqrt(root)) / lead])
    return Estimate(value=value, low=ends[0], high=ends[1], n=n)


def pass_at_k(num_samples: int, num_right: int, k: int) -> float:
    """Chance that at least one of `k` answers is right, from `num_samples` of which some are.

    Unbiased: the share of the k-subsets that hold a right answer.
    Source: Chen et al. 2021 (arXiv 2107.03374), equation 1.
    Oracle: tests/base/test_stats.py::test_pass_at_k_counts_subsets
    """
    if not 1 <= k <= num_samples:
        raise SettingError("k", k, f"must lie in [1, {num_samples}]", remedy="Sample more answers")
    if not 0 <= num_right <= num_samples:
        rule = f"must lie in [0, {num_samples}]"
        raise SettingError("num_right", num_right, rule, remedy="Check the counts")
    return 1 - math.comb(num_samples - num_right, k) / math.comb(num_samples, k)


def decide(estimate: Estimate, *, margin: float) -> tuple[Outcome, int | None]:
    """Judge a quantity of which more is better; margin 0 tests superiority.

    `pass` if the whole interval is above `-margin`, `fail` if below, else `undetermined` with
    the n at which an interval that shrinks as 1/sqrt(n) around today's value would decide (None
    if the value sits on the margin, where no n would).

    Source: Piaggio et al. 2012 (CONSORT non-inferiority), the n is ours.
    Oracle: tests/base/test_stats.py::test_the_n_to_decide_is_the_smallest_that_decides
    """
    if not (math.isfinite(margin) and margin >= 0):
        raise SettingError("margin", margin, "must not be negative", remedy="0 tests superiority")
    if estimate.low > -margin:
        return "pass", None
    if estimate.high < -margin:
        return "fail", None
    distance = estimate.value + margin
    arm = estimate.value - estimate.low if distance > 0 else estimate.high - estimate.value
    if distance == 0 or not math.isfinite(needed := estimate.n * (arm / distance) ** 2):
        return "undetermined", None
    return "undetermined", max(math.floor(needed), estimate.n) + 1


def smallest_gain(n: int, *, lost_frac: float, power: float = 0.8) -> float:
    """The smallest gain in a share, paired over `n` tasks, that most such measurements show.

    A gain is shown where its 95% interval is above zero; `power` is how often it then is.
    `lost_frac`: tasks that were right before and are not after, as a share.
    Source: the usual normal approximation; Connor 1987, Biometrics 43:207-211.
    Oracle: tests/base/test_stats.py::test_the_smallest_gain_is_shown_as_often_as_said
    """
    factor = (_z(0.95) + _NORMAL.inv_cdf(power)) ** 2 / n
    root = math.sqrt(factor**2 + 8 * (1 + factor) * factor * lost_frac)
    return min((factor + root) / (2 * (1 + factor)), 1.0)


def _z(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise SettingError("confidence", confidence, "must lie in (0, 1)", remedy="0.95 is usual")
    return _NORMAL.inv_cdf((1 + confidence) / 2)


def _finite(name: str, values: Any) -> np.ndarray:
    data = np.asarray(values, dtype=float)
    if data.ndim != 1 or data.size == 0:
        rule = "must be a list of at least one number"
        raise SettingError(name, data.shape, rule, remedy="Measure something first")
    if not np.isfinite(data).all():
        bad = float(data[~np.isfinite(data)][0])
        remedy = "Leave out what could not be scored, and report how many"
        raise SettingError(name, bad, "must be finite", remedy=remedy)
    return data


def _pairs(before: Any, after: Any) -> tuple[np.ndarray, np.ndarray]:
    old, new = _finite("before", before), _finite("after", after)
    if len(old) != len(new):
        rule = f"must have as many values as before ({len(old)})"
        raise SettingError("after", len(new), rule, remedy="Pair by task first")
    return old, new


def _units(n: int, groups: Sequence[Hashable] | None) -> list[np.ndarray]:
    """Indices of each independent unit: single values, or all values of a group."""
    if groups is None:
        return list(np.arange(n)[:, None])
    if len(groups) != n:
        rule = f"must name one group for each of the {n} values"
        raise SettingError("groups", len(groups), rule, remedy="Give one label for each value")
    members: dict[Hashable, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    return [np.array(indices) for indices in members.values()]


def _resampled_means(
    sums: np.ndarray, sizes: np.ndarray, *, num_resamples: int, rng: np.random.Generator
) -> np.ndarray:
    """Means over units drawn with replacement, in blocks of bounded memory."""
    rows = max(1, MAX_DRAWS // len(sums))
    means: list[np.ndarray] = []
    for start in range(0, num_resamples, rows):
        size = (min(rows, num_resamples - start), len(sums))
        picks = rng.integers(0, len(sums), size)
        means.append(sums[picks].sum(axis=1) / sizes[picks].sum(axis=1))
    return np.concatenate(means)


def _bca(
    value: float, draws: np.ndarray, left_out: np.ndarray, *, confidence: float
) -> tuple[float, float]:
    from scipy.special import stdtrit  # scipy.stats would take a second to import

    m = len(left_out)
    z = math.sqrt(m / (m - 1)) * float(stdtrit(m - 1, (1 + confidence) / 2))
    below = ((draws < value).sum() + 0.5 * (draws == value).sum()) / len(draws)
    bias = _NORMAL.inv_cdf(min(max(below, 0.5 / len(draws)), 1 - 0.5 / len(draws)))
    pull = left_out.mean() - left_out
    spread = float((pull**2).sum())
    acceleration = float((pull**3).sum()) / (6 * spread**1.5) if spread > 0 else 0.0
    ranks: list[float] = []
    for side in (-z, z):
        shrink = 1 - acceleration * (bias + side)
        moved = bias + (bias + side) / shrink if shrink > 0 else math.copysign(math.inf, side)
        ranks.append(_NORMAL.cdf(moved) if math.isfinite(moved) else float(moved > 0))
    low, high = np.quantile(draws, ranks)
    return float(min(low, value)), float(max(high, value))


def _tango(gains: int, losses: int, n: int, *, z: float) -> tuple[float, float]:
    """Differences of paired proportions that a score test does not reject, by bisection."""

    def score(delta: float) -> float:
        # likeliest share of losses, if the true difference were delta: root of a quadratic
        b = -gains - losses + (2 * n - gains + losses) * delta
        c = -losses * delta * (1 - delta)
        share = (math.sqrt(max(b * b - 8 * n * c, 0.0)) - b) / (4 * n)
        variance = n * (2 * share + delta * (1 - delta))
        distance = gains - losses - n * delta
        if variance <= 1e-12:  # the ends, where only one outcome is possible
            return math.copysign(math.inf, distance) if abs(distance) > 1e-9 else 0.0
        return distance / math.sqrt(variance)

    def solve(inside: float, outside: float) -> float:
        for _ in range(60):
            middle = (inside + outside) / 2
            if abs(score(middle)) <= z:
                inside = middle
            else:
                outside = middle
        return inside

    observed = (gains - losses) / n
    return solve(observed, -1.0), solve(observed, 1.0)
