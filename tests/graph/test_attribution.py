"""Means, paired differences and sentences of planted rows."""

import pytest

from burnish.base.stats import wilson
from burnish.graph import attribution
from burnish.graph.attribution import Row, by_arm, conclusion, contrasts


def rows_of(arm, values, seed=0):
    return [Row(arm=arm, query=f"q{i}", seed=seed, value=v) for i, v in enumerate(values)]


OURS, PLAIN = [1.0] * 30 + [0.0] * 10, [1.0] * 22 + [0.0] * 18


def check_means():
    rows = rows_of("ours", OURS) + rows_of("bm25", PLAIN)
    found = by_arm(rows)
    assert found["ours"] == wilson(30, 40) and found["bm25"].value == 0.55
    two = by_arm([*rows, *rows_of("ours", OURS, seed=1)])["ours"]
    assert two.value == 0.75 and two.n == 80
    # the same forty nodes twice say no more than once
    one = wilson(30, 40)
    assert (two.high - two.low) > 0.9 * (one.high - one.low)


def test_means_and_intervals():
    check_means()


def test_planted_independent_repeats(monkeypatch):
    real = attribution.bootstrap
    monkeypatch.setattr(attribution, "bootstrap", lambda values, *, groups, **more: real(
        values, **more))  # fmt: skip
    with pytest.raises(AssertionError):
        check_means()


def check_contrasts():
    """Rows of an arm in another order, and queries that only one arm has, change nothing."""
    extra = [Row(arm="ours", query="alone", seed=0, value=0.0)]
    rows = [*rows_of("bm25", PLAIN)[::-1], *extra, *rows_of("ours", OURS)]
    found = contrasts(rows, lower_is_better=False)
    row = found["over_bm25"]
    assert set(found) == {"over_bm25"} and row["n"] == 40
    assert row["value"] == pytest.approx(0.2) and 0 < row["low"] < 0.2 < row["high"]
    assert row["by_seed"] == {"0": pytest.approx(0.2)}
    nll = contrasts(rows, lower_is_better=True)["over_bm25"]
    assert nll["value"] == pytest.approx(-0.2)


def test_contrasts_are_paired():
    check_contrasts()


def test_planted_sign(monkeypatch):
    real = attribution.paired_difference
    monkeypatch.setattr(attribution, "paired_difference", lambda a, b, **more: real(b, a, **more))
    with pytest.raises(AssertionError):
        check_contrasts()


def contrast(value, low, high):
    return {"value": value, "low": low, "high": high}


def test_conclusions():
    good = {"over_bm25": contrast(0.1, 0.05, 0.15), "language_model": contrast(-0.01, -0.03, 0.01)}
    assert conclusion({}, good) == (
        "The graph's examples are better than BM25's: +10.0 points [+5.0, +15.0]; the language "
        "model shows no gain over the vote of its examples: -1.0 points [-3.0, +1.0].", True
    )  # fmt: skip
    bad = {"over_bm25": contrast(-0.1, -0.2, -0.05), "feedback": contrast(-0.1, -0.2, -0.05),
           "language_model": contrast(-0.1, -0.2, -0.05)}  # fmt: skip
    sentence, verdict = conclusion({}, bad)
    assert verdict is False and "are worse than BM25's: -10.0 points" in sentence
    assert "feedback takes from the same network" in sentence
    assert "the language model takes from the vote of its examples" in sentence
    neither = {"over_bm25": contrast(0.1, -0.1, 0.3), "feedback": contrast(0.0, -0.1, 0.1)}
    sentence, verdict = conclusion({}, neither)
    assert verdict is None and "are not shown to be better than BM25's" in sentence
    assert "feedback shows no gain over the same network: +0.0 points" in sentence
    assert conclusion({"zero-shot": {}}, {}) == ("Measured: zero-shot.", None)
    adds = {"language_model": contrast(0.05, 0.01, 0.09)}
    assert conclusion({}, adds)[0].startswith("The language model adds to the vote of its examples")
