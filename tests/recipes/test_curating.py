"""Curation with the sandbox behind it."""

from fixtures.curating import BEHAVIOUR, BRACKETS, GCD, ODD, as_rows, row

from burnish.base.records import read_records, write_records
from burnish.curate.settings import LeakageSettings, ScoreSettings
from burnish.jobs.job import Place
from burnish.recipes.curating import leakage_with_sandbox, score_with_sandbox


def test_cases_of_leaks(tmp_path):
    write_records(tmp_path / "pool.jsonl", BEHAVIOUR)
    write_records(tmp_path / "items.jsonl", as_rows([GCD, ODD, BRACKETS]))
    settings = LeakageSettings(
        pool=str(tmp_path / "pool.jsonl"), benchmarks=(str(tmp_path / "items.jsonl"),), wall_s=1.0
    )
    found = leakage_with_sandbox(settings, Place(folder=tmp_path / "run"))
    assert [(r["id"], r["benchmark_id"]) for r in found["flagged"]] == [("rewritten", "odd")]
    assert [r["id"] for r in found["common_knowledge"]] == ["common"]
    clean = read_records(tmp_path / "run" / "stages" / "leakage" / "clean.jsonl")
    assert [r["id"] for r in clean] == [r["id"] for r in BEHAVIOUR if r["id"] != "rewritten"]


def test_quality_by_the_sandbox(tmp_path, tiny_folder):
    code = "def double(x):\n    return 2 * x\n"
    rows = [row("right", "double(2) == 4", code), row("wrong", "double(2) == 5", code)]
    write_records(tmp_path / "pool.jsonl", rows)
    settings = ScoreSettings(
        pool=str(tmp_path / "pool.jsonl"), scorer="length", model=str(tiny_folder()), wall_s=1.0
    )
    score_with_sandbox(settings, Place(folder=tmp_path / "run"))
    found = read_records(tmp_path / "run" / "stages" / "score" / "scored.jsonl")
    assert [(r["tests_passed"], r["tests_total"]) for r in found] == [(1, 1), (0, 1)]
