"""The run of a leak scan, and its page."""

import pytest
from fixtures.curating import BRACKETS, DEEPEST, GCD, ODD, as_rows, ordinary, row
from fixtures.executing import Here

from burnish.base.errors import InputError, MissingFileError
from burnish.base.records import read_records, write_records
from burnish.curate.leakage_job import find_leakage
from burnish.curate.leakage_page import marked
from burnish.curate.settings import LeakageSettings
from burnish.jobs.job import Place


@pytest.fixture
def settings(tmp_path):
    rows = [*ordinary(210), row("leak", "Go on.", DEEPEST), row("empty", "x", "")]
    write_records(tmp_path / "pool.jsonl", rows)
    with (tmp_path / "pool.jsonl").open("a") as file:
        file.write("{broken\n")
    write_records(tmp_path / "items.jsonl", as_rows([GCD, ODD, BRACKETS]))
    return LeakageSettings(
        pool=str(tmp_path / "pool.jsonl"), benchmarks=(str(tmp_path / "items.jsonl"),), max_runs=5
    )


def test_a_run_holds_ledger_and_clean_pool(settings, tmp_path):
    found = find_leakage(settings, Here(), Place(folder=tmp_path / "run"))
    stage = tmp_path / "run" / "stages" / "leakage"
    ledger = {r["id"]: r for r in read_records(stage / "flagged.jsonl")}
    assert ledger["leak"]["evidence"][0]["text"] in DEEPEST
    assert not list(stage.glob("hits-*"))
    assert ledger["leak"]["evidence"] == found["flagged"][0]["evidence"]
    clean = [r["id"] for r in read_records(stage / "clean.jsonl")]
    assert "leak" not in clean and "empty" not in clean
    assert len(clean) == 212 - found["num_flagged"] - 1
    assert (found["pool"]["num_bad"], found["num_empty"], found["what"]) == (1, 1, "curate-leakage")
    again = find_leakage(settings, Here(), Place(folder=tmp_path / "run"))
    assert again["flagged"] == found["flagged"]
    titles = [block["title"] for block in found["page"]["blocks"]]
    assert {"Best score of every row", "Leak pairs", "Kept and dropped"} <= set(titles)
    pairs = next(b for b in found["page"]["blocks"] if b["title"] == "Leak pairs")
    assert "⟦def deepest" in pairs["rows"][0][2]


def test_nothing_is_begun_with_wrong_input(settings, tmp_path):
    from dataclasses import replace

    for wrong in (replace(settings, pool="gone.jsonl"), replace(settings, benchmarks=("gone",))):
        with pytest.raises(MissingFileError):
            find_leakage(wrong, None, Place(folder=tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_marks():
    text = "a" * 200 + "leak" + "b" * 200
    assert marked(text, [{"start": 200, "end": 204}]) == "a" * 80 + "⟦leak⟧" + "b" * 80
    assert marked(text, []) == text


def test_nothing_is_clean_where_nothing_is_read(settings, tmp_path):
    """An empty pool, or an empty benchmark, passes no check."""
    from dataclasses import replace

    (tmp_path / "none.jsonl").write_text("")
    (tmp_path / "bad.jsonl").write_text("{broken\n")
    for name, says in (("none.jsonl", "It is empty"), ("bad.jsonl", "must be JSON")):
        wrong = replace(settings, pool=str(tmp_path / name))
        with pytest.raises(InputError, match=says):
            find_leakage(wrong, None, Place(folder=tmp_path / name[:3]))
    wrong = replace(settings, benchmarks=(str(tmp_path / "none.jsonl"),))
    with pytest.raises(InputError, match="at least one item"):
        find_leakage(wrong, None, Place(folder=tmp_path / "never"))
    assert not (tmp_path / "never").exists()
