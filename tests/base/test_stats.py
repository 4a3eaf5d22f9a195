"""Intervals against scipy, brute force and simulations with a planted truth."""

import itertools
import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from burnish.base import stats
from burnish.base.errors import SettingError
from burnish.base.stats import (
    Estimate,
    bootstrap,
    decide,
    paired_difference,
    pass_at_k,
    share_difference,
    smallest_gain,
    wilson,
)


def rng(seed=7):
    return np.random.default_rng(seed)


# --- Wilson -------------------------------------------------------------------------------------


def check_wilson(fn):
    for successes, n in [(0, 1), (1, 1), (0, 5), (3, 7), (11, 13), (500, 1009)]:
        for confidence in (0.8, 0.95, 0.99):
            got = fn(successes, n, confidence=confidence)
            want = scipy.stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
            assert got.value == successes / n
            assert got.n == n
            assert (got.low, got.high) == pytest.approx((want.low, want.high), abs=1e-12)


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        ((56, 70, 48, 80), 0.0524, 0.3339),
        ((9, 10, 3, 10), 0.1705, 0.8090),
        ((10, 10, 0, 10), 0.6075, 1.0),
        ((0, 10, 0, 20), -0.1611, 0.2775),
    ],
)
def test_share_difference_equals_newcombes_examples(counts, low, high):
    found = share_difference(*counts)
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
    assert found.value == counts[0] / counts[1] - counts[2] / counts[3] and found.n == counts[1]


def test_wilson_equals_scipy():
    check_wilson(wilson)


def test_planted_normal_approximation_is_no_wilson():
    def wald(successes, n, *, confidence):
        p = successes / n
        half = scipy.stats.norm.ppf((1 + confidence) / 2) * math.sqrt(p * (1 - p) / n)
        return Estimate(value=p, low=p - half, high=p + half, n=n)

    with pytest.raises(AssertionError):
        check_wilson(wald)


def test_planted_one_sided_confidence_is_seen():
    def one_sided(successes, n, *, confidence):
        return wilson(successes, n, confidence=2 * confidence - 1)

    with pytest.raises(AssertionError):
        check_wilson(one_sided)


@pytest.mark.parametrize("successes, n", [(0, 0), (-1, 3), (4, 3)])
def test_wilson_refuses_impossible_counts(successes, n):
    with pytest.raises(SettingError):
        wilson(successes, n)


# --- bootstrap ----------------------------------------------------------------------------------


def check_bootstrap_coverage(fn):
    """Five normal values with a planted mean: a 95% interval must contain it nearly as often."""
    source, num_trials, hits = rng(3), 600, 0
    for _ in range(num_trials):
        estimate = fn(source.normal(2.0, 1.0, 5), rng=source, num_resamples=500)
        hits += estimate.low <= 2.0 <= estimate.high
    assert 0.89 <= hits / num_trials <= 0.985


def check_clustered_coverage(fn):
    """Values that agree within a group: the interval must be that of 12 groups, not 120 values."""
    source, num_trials, hits = rng(5), 300, 0
    groups = np.repeat(np.arange(12), 10)
    for _ in range(num_trials):
        values = source.normal(0, 1, 12)[groups] + 0.1 * source.normal(size=120)
        estimate = fn(values, groups=groups.tolist(), rng=source, num_resamples=400)
        hits += estimate.low <= 0.0 <= estimate.high
    assert 0.90 <= hits / num_trials <= 0.985


def percentile(values, *, rng, num_resamples, **_):
    draws = rng.choice(values, (num_resamples, len(values))).mean(axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    return Estimate(value=values.mean(), low=low, high=high, n=len(values))


def test_bootstrap_covers_a_planted_mean():
    check_bootstrap_coverage(bootstrap)


def test_planted_plain_percentile_covers_too_rarely():
    with pytest.raises(AssertionError):
        check_bootstrap_coverage(percentile)


def test_bootstrap_of_groups_covers_a_planted_mean():
    check_clustered_coverage(bootstrap)


def test_planted_bootstrap_that_ignores_groups_covers_too_rarely():
    with pytest.raises(AssertionError):
        check_clustered_coverage(lambda values, groups, **rest: bootstrap(values, **rest))


def check_bca(fn):
    """Skewed values: scipy's BCa, asked for the confidence that the widening amounts to."""
    n = 31
    widened = math.sqrt(n / (n - 1)) * scipy.stats.t.ppf(0.975, n - 1)
    confidence = 2 * scipy.stats.norm.cdf(widened) - 1
    skewed, milder = rng(1).lognormal(0.0, 1.0, n), rng(1).gamma(3.0, 1.0, n)
    for values, statistic in [(skewed, None), (milder, np.std)]:
        got = fn(values, statistic=statistic, rng=rng(2), num_resamples=20_000)
        want = scipy.stats.bootstrap(
            (values,),
            statistic or np.mean,
            confidence_level=confidence,
            n_resamples=20_000,
            rng=rng(3),
        ).confidence_interval
        near = 0.05 * (want.high - want.low)
        assert got.value == (statistic or np.mean)(values)
        assert (got.low, got.high) == pytest.approx((want.low, want.high), abs=near)


def test_bootstrap_equals_scipys_bca():
    check_bca(bootstrap)


def test_planted_bootstrap_without_acceleration_is_seen(monkeypatch):
    bca = stats._bca
    flat = lambda value, draws, left_out, confidence: bca(  # noqa: E731
        value, draws, np.full_like(left_out, left_out.mean()), confidence=confidence
    )
    monkeypatch.setattr(stats, "_bca", flat)
    with pytest.raises(AssertionError):
        check_bca(bootstrap)


def test_the_mean_given_as_a_statistic_is_the_mean():
    values, groups = rng(1).normal(size=30), list("abcdefghij") * 3
    fast = bootstrap(values, groups=groups, rng=rng(2), num_resamples=500)
    slow = bootstrap(values, groups=groups, rng=rng(2), num_resamples=500, statistic=np.mean)
    assert (slow.low, slow.high) == pytest.approx((fast.low, fast.high), abs=1e-12)


def test_blocks_of_resamples_do_not_change_the_interval(monkeypatch):
    values = rng(1).normal(size=17)
    whole = bootstrap(values, rng=rng(2), num_resamples=300)
    monkeypatch.setattr(stats, "MAX_DRAWS", 17 * 7)
    assert bootstrap(values, rng=rng(2), num_resamples=300) == whole


@pytest.mark.parametrize(
    "values, groups", [([], None), ([1.0], None), ([1.0, math.nan], None), ([1, 2], ["a", "a"])]
)
def test_bootstrap_refuses_what_it_cannot_judge(values, groups):
    with pytest.raises(SettingError):
        bootstrap(values, groups=groups, rng=rng())


# --- paired differences -------------------------------------------------------------------------


def pairs_of(gains, losses, ties):
    before = [0] * gains + [1] * losses + [1] * ties
    after = [1] * gains + [0] * losses + [1] * ties
    return before, after


def numeric_score_interval(gains, losses, n):
    """The same interval from its definition: maximise the likelihood under each difference."""

    def score(delta):
        def cost(share):
            cells = [(gains, share + delta), (losses, share), (n - gains - losses, None)]
            logs = [
                count * math.log(max(1 - 2 * share - delta if p is None else p, 1e-300))
                for count, p in cells
                if count
            ]
            return -sum(logs)

        bounds = (max(0.0, -delta), (1 - delta) / 2)
        best = scipy.optimize.minimize_scalar(
            cost, bounds=bounds, method="bounded", options={"xatol": 1e-12}
        )
        share = min([best.x, *bounds], key=cost)
        variance = (2 * share + delta - delta**2) / n
        return ((gains - losses) / n - delta) / math.sqrt(max(variance, 1e-15))

    z, observed, eps = scipy.stats.norm.ppf(0.975), (gains - losses) / n, 1e-7
    low = scipy.optimize.brentq(lambda d: score(d) - z, -1 + eps, observed + eps)
    high = scipy.optimize.brentq(lambda d: score(d) + z, observed - eps, 1 - eps)
    return low, high


def check_paired_proportions(fn):
    for gains, losses, ties in [(3, 1, 9), (0, 0, 7), (5, 0, 12), (0, 2, 3), (40, 23, 37)]:
        before, after = pairs_of(gains, losses, ties)
        n = len(before)
        got = fn(before, after, rng=rng())
        want = numeric_score_interval(gains, losses, n)
        assert got.value == pytest.approx((gains - losses) / n)
        assert (got.low, got.high) == pytest.approx(want, abs=1e-5)


def test_paired_proportions_equal_a_numeric_score_interval():
    check_paired_proportions(paired_difference)


def test_paired_proportions_without_change_have_the_closed_interval():
    for n in (1, 5, 50):
        z2 = scipy.stats.norm.ppf(0.975) ** 2
        got = paired_difference([1] * n, [1] * n, rng=rng())
        assert (got.low, got.high) == pytest.approx((-z2 / (n + z2), z2 / (n + z2)), abs=1e-9)


def test_paired_proportions_reach_the_end_of_the_scale():
    got = paired_difference([0] * 4, [1] * 4, rng=rng())
    assert got.high == pytest.approx(1.0)
    assert 0 < got.low < 1


def test_planted_unpaired_interval_is_seen():
    def unpaired(before, after, **_):
        n, old, new = len(before), np.mean(before), np.mean(after)
        half = 1.96 * math.sqrt((old * (1 - old) + new * (1 - new)) / n)
        return Estimate(value=new - old, low=new - old - half, high=new - old + half, n=n)

    with pytest.raises(AssertionError):
        check_paired_proportions(unpaired)


def test_planted_swap_of_before_and_after_is_seen():
    with pytest.raises(AssertionError):
        check_paired_proportions(
            lambda before, after, rng: paired_difference(after, before, rng=rng)
        )


def check_paired_coverage(fn):
    source, num_trials, hits, n = rng(11), 400, 0, 40
    for _ in range(num_trials):  # truth: 15% of the tasks gained, 5% lost
        outcome = source.choice(3, n, p=[0.15, 0.05, 0.8])
        before, after = np.where(outcome == 0, 0, 1), np.where(outcome == 1, 0, 1)
        estimate = fn(before, after, rng=source, num_resamples=300)
        hits += estimate.low <= 0.10 <= estimate.high
    assert 0.93 <= hits / num_trials <= 0.985


def test_paired_proportions_cover_a_planted_gain():
    check_paired_coverage(paired_difference)


def test_planted_interval_of_half_the_width_covers_too_rarely():
    def narrow(before, after, **rest):
        full = paired_difference(before, after, **rest)
        half = (full.high - full.low) / 4
        return replace(full, low=full.value - half, high=full.value + half)

    with pytest.raises(AssertionError):
        check_paired_coverage(narrow)


def test_paired_numbers_take_the_bootstrap_of_their_differences():
    source = rng(4)
    before = source.normal(100, 30, 25)
    after = before + source.normal(5, 1, 25)
    got = paired_difference(before, after, rng=rng(6))
    assert got == bootstrap(after - before, rng=rng(6))
    assert 4 < got.low < 5 < got.high < 6  # unpaired, the spread of 30 would hide it


def check_never_of_width_zero(fn):
    for value in (0.0, 1.0, 128.0, -3.5):
        for shift in (0.0, 2.0):
            widths = []
            for n in (1, 5, 50):
                got = fn([value] * n, [value + shift] * n, rng=rng())
                assert got.low < got.value == shift < got.high
                widths.append(got.high - got.low)
            assert widths[0] > widths[1] > widths[2]


def test_a_constant_difference_has_an_interval():
    check_never_of_width_zero(paired_difference)


def test_planted_bootstrap_of_a_constant_is_seen():
    with pytest.raises(AssertionError):
        check_never_of_width_zero(
            lambda before, after, rng: bootstrap(
                np.subtract([*after, after[0]], [*before, before[0]]), rng=rng
            )
        )


def test_a_constant_difference_counts_groups_not_values():
    one = paired_difference([3.0] * 40, [5.0] * 40, groups=[1] * 20 + [2] * 20, rng=rng())
    two = paired_difference([3.0] * 2, [5.0] * 2, rng=rng())
    assert (one.low, one.high, one.n) == (two.low, two.high, 40)


@pytest.mark.parametrize("before, after", [([], []), ([1, 0], [1]), ([1, math.inf], [1, 0])])
def test_paired_difference_refuses_what_is_no_pair(before, after):
    with pytest.raises(SettingError):
        paired_difference(before, after, rng=rng())


# --- pass@k -------------------------------------------------------------------------------------


def check_pass_at_k(fn):
    for num_samples in range(1, 8):
        for num_right in range(num_samples + 1):
            answers = [True] * num_right + [False] * (num_samples - num_right)
            for k in range(1, num_samples + 1):
                subsets = list(itertools.combinations(answers, k))
                want = sum(any(subset) for subset in subsets) / len(subsets)
                assert fn(num_samples, num_right, k) == pytest.approx(want)


def test_pass_at_k_counts_subsets():
    check_pass_at_k(pass_at_k)


def test_planted_biased_pass_at_k_is_seen():
    with pytest.raises(AssertionError):
        check_pass_at_k(lambda n, right, k: 1 - (1 - right / n) ** k)


@pytest.mark.parametrize("arguments", [(3, 1, 4), (3, 1, 0), (3, 4, 1), (0, 0, 1)])
def test_pass_at_k_refuses_impossible_counts(arguments):
    with pytest.raises(SettingError):
        pass_at_k(*arguments)


# --- gates --------------------------------------------------------------------------------------


def shrunk(estimate, n):
    """The interval that the same value would have with n units."""
    factor = math.sqrt(estimate.n / n)
    low = estimate.value - factor * (estimate.value - estimate.low)
    high = estimate.value + factor * (estimate.high - estimate.value)
    return replace(estimate, low=low, high=high, n=n)


@pytest.mark.parametrize(
    "low, high, margin, outcome",
    [
        (0.01, 0.09, 0.0, "pass"),
        (0.0, 0.09, 0.0, "undetermined"),  # touching the margin proves nothing
        (-0.02, 0.09, 0.03, "pass"),
        (-0.09, -0.01, 0.0, "fail"),
        (-0.09, -0.01, 0.03, "undetermined"),
        (-0.09, -0.04, 0.03, "fail"),
        (-0.03, 0.01, 0.03, "undetermined"),
    ],
)
def test_a_gate_passes_only_with_its_whole_interval(low, high, margin, outcome):
    estimate = Estimate(value=(low + high) / 2, low=low, high=high, n=50)
    assert decide(estimate, margin=margin)[0] == outcome


def check_n_to_decide(fn):
    for value, low, high, margin in [
        (0.02, -0.05, 0.08, 0.0),
        (-0.01, -0.06, 0.05, 0.03),
        (-0.04, -0.09, 0.02, 0.03),
        (0.001, -0.1, 0.1, 0.0),
    ]:
        estimate = Estimate(value=value, low=low, high=high, n=37)
        outcome, n = fn(estimate, margin=margin)
        assert outcome == "undetermined"
        assert decide(shrunk(estimate, n), margin=margin)[0] != "undetermined"
        assert decide(shrunk(estimate, n - 1), margin=margin)[0] == "undetermined"


def test_the_n_to_decide_is_the_smallest_that_decides():
    check_n_to_decide(decide)


def test_planted_linear_shrinking_is_seen():
    def linear(estimate, *, margin):
        outcome, n = decide(estimate, margin=margin)
        return outcome, round(math.sqrt(n * estimate.n))

    with pytest.raises(AssertionError):
        check_n_to_decide(linear)


def test_no_n_decides_on_the_margin_itself():
    estimate = Estimate(value=-0.25, low=-0.5, high=0.0, n=9)
    assert decide(estimate, margin=0.25) == ("undetermined", None)


def test_a_negative_margin_is_refused():
    with pytest.raises(SettingError):
        decide(Estimate(value=0, low=-1, high=1, n=9), margin=-0.1)


def check_percentiles(interval):
    """90% intervals of a slope through 12 points cover it in 85 to 95 of 100."""
    rng, x, hits = np.random.default_rng(7), np.linspace(-1, 1, 12), 0
    for _ in range(200):
        y = 2 * x + rng.standard_normal(12)
        picks = rng.integers(0, 12, (300, 12))
        a, b = (v[picks] - v[picks].mean(axis=1, keepdims=True) for v in (x, y))
        slopes = (a * b).sum(axis=1) / (a * a).sum(axis=1)
        low, high = interval(slopes)
        hits += low <= 2 <= high
    assert 170 <= hits <= 192


def test_percentiles_cover_a_planted_slope():
    check_percentiles(
        lambda draws: stats.percentile_interval(draws, num_units=12, num_fitted=2, confidence=0.9)
    )


def test_planted_percentiles_of_a_narrow_range():
    with pytest.raises(AssertionError):
        check_percentiles(lambda draws: np.quantile(draws, [0.2, 0.8]))


def test_percentiles_need_draws_and_freedom():
    with pytest.raises(SettingError):
        stats.percentile_interval(np.array([1.0, np.nan]), num_units=9, num_fitted=2)
    with pytest.raises(SettingError):
        stats.percentile_interval(np.ones(50), num_units=2, num_fitted=2)
    two = np.array([1.0, 2.0, np.nan])
    low, high = stats.percentile_interval(two, num_units=9, num_fitted=0)
    assert 1 <= low < high <= 2


def check_ratio(ratio):
    rng, hits = np.random.default_rng(2), 0
    for _ in range(400):
        below = 2 + rng.standard_normal(12)
        above = 3 * below + rng.standard_normal(12)
        found = ratio(above, below)
        hits += found.low <= 3 <= found.high
    assert 370 <= hits <= 392
    near_zero = ratio([1.0, 2.0, 1.5], [0.1, -0.1, 0.05])
    assert (near_zero.low, near_zero.high) == (-math.inf, math.inf)
    constant = ratio([3.0, 3.0], [2.0, 2.0])  # without any spread it is known
    assert (constant.low, constant.value, constant.high) == (1.5, 1.5, 1.5)


def test_ratio_covers_and_is_unbounded_where_it_must():
    check_ratio(stats.ratio_of_means)
    with pytest.raises(SettingError):
        stats.ratio_of_means([1.0], [2.0])


def test_planted_ratio_with_a_certain_denominator():
    def certain(above, below):
        value = np.mean(above) / np.mean(below)
        half = 2 * np.std(above, ddof=1) / np.sqrt(len(above)) / abs(np.mean(below))
        return stats.Estimate(value=value, low=value - half, high=value + half, n=len(above))

    with pytest.raises(AssertionError):
        check_ratio(certain)


def check_power(gain_of):
    """Draw runs with that gain, and count how often the interval is above zero."""
    source = rng(11)
    for n, lost in ((120, 0.05), (240, 0.05), (400, 0.1)):
        gain = gain_of(n, lost_frac=lost)
        shown = 0
        for _ in range(300):
            won, fell, _ = source.multinomial(n, [lost + gain, lost, 1 - 2 * lost - gain])
            old = [0.0] * won + [1.0] * fell + [1.0] * (n - won - fell)
            new = [1.0] * won + [0.0] * fell + [1.0] * (n - won - fell)
            shown += paired_difference(old, new, rng=source).low > 0
        assert 0.7 < shown / 300 < 0.9, (n, lost, gain, shown)


def test_the_smallest_gain_solves_its_equation():
    """A gain d is as many standard errors as `power` asks for: d^2 n = z^2 (2 lost + d - d^2)."""
    n, lost, z = 400, 0.03, NormalDist().inv_cdf(0.975) + NormalDist().inv_cdf(0.8)
    gain = smallest_gain(n, lost_frac=lost)
    assert gain**2 * n == pytest.approx(z**2 * (2 * lost + gain - gain**2), rel=1e-9)


def test_the_smallest_gain_is_shown_as_often_as_said():
    check_power(smallest_gain)


def test_planted_gain_that_is_seldom_shown():
    with pytest.raises(AssertionError):
        check_power(lambda n, **given: 0.7 * smallest_gain(n, **given))


@pytest.mark.parametrize("n", [1, 5, 20])
def test_a_difference_that_is_always_the_same_has_clopper_and_pearsons_bound(n):
    """As if each pair had been seen to gain, and none not to: the bound of n of n successes."""
    found = paired_difference([2.0] * n, [3.0] * n, rng=np.random.default_rng(0))
    exact = scipy.stats.binomtest(n, n).proportion_ci(0.95, method="exact").low
    assert found.value == 1 and found.low == pytest.approx(exact)
    assert found.high == pytest.approx(2 - exact)


def test_each_value_needs_its_group():
    with pytest.raises(SettingError, match=r"^groups must name one group .* 3 values, got 2"):
        bootstrap([1.0, 2.0, 3.0], groups=["a", "b"], rng=rng())


def test_bounds_of_symmetric_draws_are_symmetric():
    """Ties with the value count half on each side."""
    draws = np.repeat([-2.0, -1.0, 0.0, 1.0, 2.0], [1, 5, 20, 5, 1])
    low, high = stats._bca(0.0, draws, np.array([-1.0, 0.0, 1.0]), confidence=0.9)
    assert low == pytest.approx(-high) and high > 0
