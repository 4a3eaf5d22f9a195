"""The run of dedup."""

from fixtures.curating import row

from burnish.base.records import read_records, write_records
from burnish.curate.dedup_job import drop_duplicates
from burnish.curate.settings import DedupSettings
from burnish.jobs.job import Place


def test_the_first_of_equal_rows_stays(tmp_path):
    rows = [
        row(1, "Count the vowels of a word", "def f(w):\n    return 1\n"),
        row(2, "Count  the vowels\nof a word", "def f(w):\r\n    return 1\n"),
        row(3, "", ""),
        row(4, "Count the vowels of a word!", "def f(w):\n    return 1\n"),
        row(5, "Something else entirely", "print('hello world')"),
    ]
    write_records(tmp_path / "pool.jsonl", rows)
    settings = DedupSettings(pool=str(tmp_path / "pool.jsonl"))
    found = drop_duplicates(settings, Place(folder=tmp_path / "run"))
    stage = tmp_path / "run" / "stages" / "dedup"
    assert [r["id"] for r in read_records(stage / "kept.jsonl")] == [1, 5]
    dropped = [(r["id"], r["reason"], r.get("of")) for r in read_records(stage / "dropped.jsonl")]
    assert dropped == [(2, "duplicate", 1), (3, "empty", None), (4, "duplicate", 1)]
    assert (found["num_kept"], found["reasons"]) == (2, {"duplicate": 2, "empty": 1})
