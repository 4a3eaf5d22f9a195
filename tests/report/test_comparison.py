"""A comparison of two results: every metric and every changed setting, nothing decided."""

import pytest

from burnish.report.comparison import compare_results, find_metrics
from burnish.report.html import render


def metric(value, **more):
    return {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 240} | more


A = {
    "measure": {"before": {"accuracy": metric(0.24)}, "after": {"accuracy": metric(0.55)}},
    "claims": [metric(0.31, claim="gain"), metric(8.0, name="length"), metric(1.0)],
    "settings": {"train": {"steps": 30, "lr": 2e-4, "only_a": None}, "seed": 1},
    "page": {"verdict": "Rose.", "gates": [{"name": "better", "outcome": "pass"} | metric(0.3)]},
}
B = {
    "measure": {"after": {"accuracy": metric(0.5)}},
    "settings": {"train": {"steps": 60, "lr": 2e-4}, "seed": 1, "tasks": ["chain_sum"]},
    "page": {"verdict": "Did not rise.", "gates": [{"name": "better", "outcome": "fail"}]},
}


def check_metrics(fn=find_metrics):
    """The planted metrics, by dotted path and in order; the page's gates are none."""
    assert list(fn(A)) == [
        "measure.before.accuracy",
        "measure.after.accuracy",
        "claims.gain",
        "claims.length",
        "claims.2",
    ]
    assert fn(A)["measure.after.accuracy"]["value"] == 0.55
    assert fn({"a": {"value": "text", "low": 0, "high": 1, "n": 2}, "b": "abc"}) == {}


def test_metrics_are_found():
    check_metrics()


def test_planted_search_that_takes_the_page_too():
    with pytest.raises(AssertionError):
        check_metrics(fn=lambda result: find_metrics({"all": result}))


def test_both_runs_are_shown():
    page = compare_results(A, B, labels=("first", "second"))
    says, metrics, settings = page.blocks
    assert page.verdict == "first and second: 1 metric in both, 3 settings changed."
    assert page.good == "measured"
    assert says.rows[:2] == [
        ["Verdict", "Rose.", "Did not rise."],
        ["Gate: better", "pass", "fail"],
    ]
    rows = {row[0]: row[1:] for row in metrics.rows}
    both = ["0.55 [0.45, 0.65]", 240, "0.5 [0.4, 0.6]", 240]
    assert rows["measure.after.accuracy"] == both
    assert rows["claims.gain"] == ["0.31 [0.21, 0.41]", 240, "\N{EN DASH}", None]
    assert settings.rows == [
        ["train.steps", 30, 60],
        ["train.only_a", None, "not set"],
        ["tasks", "not set", ["chain_sum"]],
    ]
    assert "<title>first and second" in render(page)


def test_equal_or_empty_results_compare():
    page = compare_results(A, A)
    assert page.blocks[2].rows == []
    assert "0 metrics" in compare_results({}, {}).verdict
    assert "None." in render(page)


def test_a_metric_without_interval_says_so():
    page = compare_results({"m": metric(0.5, low=None, high=None)}, {})
    assert page.blocks[1].rows == [["m", "0.5 [no interval]", 240, "\N{EN DASH}", None]]
    half = compare_results({"m": metric(0.5, high=None)}, {})  # one end is no interval
    assert half.blocks[1].rows == page.blocks[1].rows


def test_a_gate_of_one_run_only_is_shown_for_both():
    alone = {"page": {"verdict": "x", "gates": [{"name": "only here", "outcome": "pass"}]}}
    for a, b, cells in ((alone, {}, ["pass", "\N{EN DASH}"]), ({}, alone, ["\N{EN DASH}", "pass"])):
        rows = compare_results(a, b, labels=("first", "second")).blocks[0].rows
        assert ["Gate: only here", *cells] in [list(row) for row in rows]
