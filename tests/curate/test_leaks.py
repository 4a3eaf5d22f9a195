"""Leaks planted in an ordinary pool; a pool without leaks passes."""

import json

import pytest
from fixtures.curating import BEHAVIOUR, BRACKETS, DEEPEST, DEEPEST_JS, GCD, ODD, ordinary, row
from fixtures.executing import Here

from burnish.base.errors import InputError
from burnish.base.records import write_records
from burnish.curate import leaks
from burnish.curate.leaks import find_leaks, leak_check, scan_pool
from burnish.curate.settings import LeakageSettings
from burnish.data.benchmarks import BenchmarkItem
from burnish.distrib import launchers

ITEMS = [GCD, ODD, BRACKETS]
LEAKS = [
    row("verbatim", BRACKETS.prompt, "Sure."),
    row("renamed", "Go on.", DEEPEST.replace("best", "most").replace("deepest", "nesting")),
    row("javascript", "How deep do the brackets of a string nest? Depth of nesting.", DEEPEST_JS),
]


def find(tmp_path, rows, items=ITEMS, executor=None, **given):
    write_records(tmp_path / "pool.jsonl", rows)
    settings = LeakageSettings(pool=str(tmp_path / "pool.jsonl"), **given)
    scan = scan_pool(items, settings, launcher=launchers.parse("serial"))
    return find_leaks(scan, settings, executor)


def ids(rows):
    return {r["id"] for r in rows}


def check_planted(tmp_path):
    found = find(tmp_path, [*ordinary(300), *LEAKS, *BEHAVIOUR[:3]], executor=Here(), max_runs=16)
    assert ids(LEAKS) | {"rewritten"} <= ids(r for r in found["flagged"] if r["verdict"] == "leak")
    assert {r["benchmark_id"] for r in found["flagged"] if r["id"] in ids(LEAKS)} == {"brackets"}
    assert "mutant" not in ids(found["flagged"]) and "mutant" not in ids(found["common_knowledge"])
    false = [r for r in found["flagged"] if str(r["id"]).startswith("clean")]
    assert len(false) <= 0.03 * 300 and all(r["verdict"] == "suspect" for r in false)
    assert ids(found["common_knowledge"]) <= {"common"}
    json.dumps(found, allow_nan=False)


def test_planted_leaks_are_found_and_others_are_not(tmp_path):
    check_planted(tmp_path)


def test_planted_scan_of_the_users_turns_alone(tmp_path, monkeypatch):
    from burnish.curate.samples import Sample

    monkeypatch.setattr(Sample, "text", property(lambda self: self.question))
    with pytest.raises(AssertionError):
        check_planted(tmp_path)


def test_the_check_fails_on_planted_leaks_alone(tmp_path):
    clean = find(tmp_path, ordinary(300))
    dropped = ids(clean["flagged"])
    rows = [r for r in ordinary(300) if r["id"] not in dropped]
    assert find(tmp_path, rows)["check"]["outcome"] == "pass"
    planted = find(tmp_path, [*rows, *LEAKS])
    assert planted["check"]["outcome"] == "fail" and planted["check"]["num_leaks"] >= len(LEAKS)
    assert leak_check([{"verdict": "suspect"}] * 30, 30, 1000, 0.01)["outcome"] == "fail"
    assert leak_check([{"verdict": "suspect"}] * 11, 11, 1000, 0.01)["outcome"] == "pass"


def test_templates_are_no_leaks(tmp_path):
    head = "Write a Python function that takes a list of integers as input and returns the "
    ends = ["largest one", "list without duplicates", "number of even values", "mean as a float"]
    rows = [row(i, f"{head}{end}.", "def f(v):\n    return v\n") for i, end in enumerate(ends)]
    item = BenchmarkItem(id="b", prompt=f"{head}product of all elements that are prime.")
    assert find(tmp_path, rows, [item])["flagged"] == []


def test_behaviour_in_a_small_pool(tmp_path):
    found = find(tmp_path, BEHAVIOUR, executor=Here())
    assert [(r["id"], r["verdict"], r["function"]) for r in found["flagged"]] == [
        ("rewritten", "leak", "puzzle")
    ]
    assert ids(found["common_knowledge"]) == {"common"}


def test_what_runs_nothing_is_not_executable(tmp_path):
    (js,) = find(tmp_path, [LEAKS[2]], executor=Here())["flagged"]
    assert (js["behaviour"], js["views"]) == ("not_executable", ["translation"])
    (python,) = find(tmp_path, [LEAKS[1]])["flagged"]
    assert python["behaviour"] == "not_run"


def test_untestable_items_and_empty_rows(tmp_path):
    items = [BenchmarkItem(id="empty", prompt=""), BenchmarkItem(id="one", prompt="return")]
    rows = [{"id": 1, "text": "return"}, {"id": 2, "text": "def f():\n    return 1\n"},
            row(3, "Add", ""), row(4, "", "")]  # fmt: skip
    found = find(tmp_path, rows, items)
    assert (found["flagged"], found["untestable"], found["tli"]) == ([], ["empty", "one"], None)
    assert (found["num_empty"], found["num_rows"]) == (2, 4)


def test_several_benchmarks_are_told_apart(tmp_path):
    from dataclasses import replace

    items = [BRACKETS, replace(ODD, benchmark="other")]
    rows = [LEAKS[0], row("both", ODD.prompt, "x")]
    found = find(tmp_path, rows, items, benchmarks=("a", "b"))
    assert {(r["id"], r["benchmark"]) for r in found["flagged"]} == {
        ("verbatim", "planted"), ("both", "other")
    }  # fmt: skip
    assert set(found["tli_by_benchmark"]) == {"planted", "other"}


def test_a_full_table_of_runs_is_cut(tmp_path):
    found = find(tmp_path, [*ordinary(40), *BEHAVIOUR[:2]], executor=Here(), max_runs=7)
    assert found["num_runs"] <= 7


def test_an_empty_pool(tmp_path):
    (tmp_path / "pool.jsonl").write_text("")
    scan_settings = LeakageSettings(pool=str(tmp_path / "pool.jsonl"))
    with pytest.raises(InputError, match="must contain a row that can be used"):
        scan_pool(ITEMS, scan_settings, launcher=launchers.parse("serial"))


def test_the_planted_check_of_suspects(monkeypatch):
    monkeypatch.setattr(leaks, "SIGNIFICANT", 0.0)
    with pytest.raises(AssertionError):
        assert leak_check([{"verdict": "suspect"}] * 30, 30, 1000, 0.01)["outcome"] == "fail"
