"""Files that people bring: every row of ../shared/cases/to-build.jsonl with a table of runs."""

import json
from pathlib import Path

import pytest

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases" / "to-build.jsonl"
FITTED, REFUSED = 0, 2
WANTED = {  # case: status, and what is said
    "byte order mark, semicolons": (REFUSED, "alpha, beta"),  # read as six runs of one ratio
    "decimal comma": (REFUSED, "must use the decimal point"),
    "one size only": (REFUSED, "n takes one value only"),
    "N and D in constant ratio": (REFUSED, "--law compute"),
    "column names as people write them": (REFUSED, "n=Params,d=Tokens,loss='Final Loss'"),
    "tokens in billions": (REFUSED, "another unit"),
    "nan and failed runs": (REFUSED, "line 3"),
    "duplicate runs with other seeds": (REFUSED, "2 values only"),
    "planted law, 12 runs": (FITTED, "chinchilla on 12 runs"),
    "BOM, semicolons, scientific notation": (FITTED, "chinchilla on 12 runs"),
    "duplicate rows": (FITTED, "5 exact duplicates merged"),
    "loss below the irreducible one": (REFUSED, "lines 3, 4"),
    "diverged and missing losses": (REFUSED, "loss is nan"),
    "checkpoints of one cosine run posed as runs": (REFUSED, "checkpoint"),
    "D from compute": (REFUSED, "one value only"),
}


def cases():
    if not CASES.exists():
        return []
    rows = [json.loads(line) for line in CASES.read_text(encoding="utf-8").split("\n") if line]
    return [row for row in rows if row["part"] == "scaling"]


def text_of(row):
    given = row["input"]
    return given if isinstance(given, str) else given.get("csv")


def test_every_table_of_the_cases(burnish, tmp_path):
    tables = [row for row in cases() if text_of(row)]
    if not tables:
        pytest.skip("../shared/cases is absent")
    assert {row["case"] for row in tables} == set(WANTED)
    for index, row in enumerate(tables):
        path = tmp_path / f"{index}.csv"
        path.write_text(text_of(row), encoding="utf-8")
        more = ("--set", "fit.sigma=2.0") if "sigma" in str(row["input"]) else ()
        done = burnish("scaling", "fit", path, "--resamples", 10, "--runs", tmp_path, *more)
        status, says = WANTED[row["case"]]
        assert done.status == status, (row["case"], done.err)
        assert says in done.out + done.err, (row["case"], done.out + done.err)
        assert "Traceback" not in done.err
