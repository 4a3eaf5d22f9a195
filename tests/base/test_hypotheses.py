"""Exact p-values against scipy and numbers computed by hand."""

import pytest
import scipy.stats

from burnish.base.errors import SettingError
from burnish.base.hypotheses import holm, sign_test


def paired_sign_test(before, after):
    return sign_test([b - a for a, b in zip(before, after, strict=True)])


def check_sign_test(fn):
    for gains, losses, ties in [(0, 0, 3), (1, 0, 0), (5, 1, 4), (3, 9, 0), (40, 61, 900)]:
        before = [0] * gains + [1] * losses + [0, 1] * ties
        after = [1] * gains + [0] * losses + [0, 1] * ties
        moved = gains + losses
        want = scipy.stats.binomtest(gains, moved, 0.5).pvalue if moved else 1.0
        assert fn(before, after) == pytest.approx(want, rel=1e-12)


def test_exact_tests_equal_scipy():
    check_sign_test(paired_sign_test)


def test_planted_test_that_counts_ties_is_seen():
    def with_ties(before, after):
        ups = sum(b > a for a, b in zip(before, after, strict=True))
        return scipy.stats.binomtest(ups, len(before), 0.5).pvalue

    with pytest.raises(AssertionError):
        check_sign_test(with_ties)


def test_planted_one_sided_test_is_seen():
    with pytest.raises(AssertionError):
        check_sign_test(lambda before, after: paired_sign_test(before, after) / 2)


def test_sign_test_of_thousands_stays_finite():
    want = scipy.stats.binomtest(2400, 5000, 0.5).pvalue
    assert sign_test([1] * 2400 + [-1] * 2600) == pytest.approx(want, rel=1e-9)


@pytest.mark.parametrize("differences", [[], [float("nan")]])
def test_sign_test_refuses_what_is_no_number(differences):
    with pytest.raises(SettingError):
        sign_test(differences)


def check_holm(fn):
    assert fn([]) == []
    assert fn([0.04]) == pytest.approx([0.04])
    # sorted .005 .01 .03 .04: times 4, 3, 2, 1 = .02 .03 .06 .04, and never falling
    assert fn([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert fn([0.9, 0.6]) == pytest.approx([1.0, 1.0])


def test_holm_equals_hand_computed_values():
    check_holm(holm)


def test_planted_bonferroni_is_seen():
    with pytest.raises(AssertionError):
        check_holm(lambda ps: [min(1.0, p * len(ps)) for p in ps])


def test_planted_falling_holm_is_seen():
    def falling(ps):
        ranks = sorted(range(len(ps)), key=lambda i: ps[i])
        return [min(1.0, (len(ps) - ranks.index(i)) * p) for i, p in enumerate(ps)]

    with pytest.raises(AssertionError):
        check_holm(falling)


def test_holm_refuses_what_is_no_probability():
    with pytest.raises(SettingError):
        holm([0.1, 1.5])
