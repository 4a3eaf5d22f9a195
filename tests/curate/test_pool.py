"""Pools of every format; what cannot be read is named and harms no other row."""

import gzip
import json

import pytest

from burnish.base.errors import InputError, MissingFileError
from burnish.base.records import write_records
from burnish.curate import pool as module
from burnish.curate.pool import PoolReport, read_pool

ROWS = [{"id": i, "instruction": f"do {i}", "response": f"done {i}"} for i in range(5)]


def read(path):
    report = PoolReport()
    return [s.id for s in read_pool(path, report)], report


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.json", "a.parquet"])
def test_formats(tmp_path, name):
    write_records(tmp_path / name, ROWS)
    assert read(tmp_path / name)[0] == [0, 1, 2, 3, 4]
    assert read(tmp_path)[0] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("kind", ["stream", "file"])
def test_folders_of_datasets(tmp_path, kind):
    import pyarrow as pa

    table = pa.Table.from_pylist(ROWS)
    make = pa.ipc.new_stream if kind == "stream" else pa.ipc.new_file
    with pa.OSFile(str(tmp_path / "data-00000.arrow"), "wb") as file, make(file, table.schema) as w:
        w.write_table(table)
    (tmp_path / "dataset_info.json").write_text("{}")
    (tmp_path / "state.json").write_text("{}")
    assert read(tmp_path)[0] == [0, 1, 2, 3, 4]


def check_bad_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_LINE_BYTES", 100)
    lines = [
        b"\xef\xbb\xbf" + json.dumps(ROWS[0]).encode(),
        b'{"id": 1, "instruction": "caf\xe9", "response": "x"}',
        b"{broken",
        b"[1, 2]",
        b'{"id": "long", "text": "' + b"x" * 5000 + b'"}',
        b"",
        b'{"id": 0, "text": "again"}',
        b'{"id": "shape", "messages": [3]}',
        b'{"id": "last", "text": "no line end"}',
    ]
    path = tmp_path / "bad.jsonl"
    path.write_bytes(b"\n".join(lines))
    report = PoolReport()
    found = list(read_pool(path, report))
    assert [s.id for s in found] == [0, 1, 0, "last"]
    assert found[1].question == "café"
    told = report.to_dict()
    assert (told["num_rows"], told["num_bad"], told["num_recoded"]) == (4, 4, 1)
    assert told["num_duplicate_ids"] == 1
    named = [(p["row"], p["problem"]) for p in told["problems"]]
    assert [row for row, _ in named] == [f"bad.jsonl:line {n}" for n in (2, 3, 4, 5, 7, 8)]
    assert "must have at most 100 bytes" in dict(named)["bad.jsonl:line 5"]


def test_bad_rows_are_named_and_others_kept(tmp_path, monkeypatch):
    check_bad_rows(tmp_path, monkeypatch)


def test_planted_long_line_whose_rest_is_read_as_rows(tmp_path, monkeypatch):
    def careless(opened):
        while line := opened.readline(module.MAX_LINE_BYTES):
            yield line.removeprefix(b"\xef\xbb\xbf")

    monkeypatch.setattr(module, "_bounded", careless)
    with pytest.raises(AssertionError):
        check_bad_rows(tmp_path, monkeypatch)


def test_other_encodings(tmp_path):
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS)
    (tmp_path / "a.jsonl").write_text(text, encoding="utf-16")
    assert read(tmp_path / "a.jsonl")[0] == [0, 1, 2, 3, 4]
    (tmp_path / "b.json").write_bytes(
        json.dumps([{"text": "é"}], ensure_ascii=False).encode("cp1252")
    )
    assert next(iter(read_pool(tmp_path / "b.json", PoolReport()))).text == "é"


def test_damaged_files(tmp_path):
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"text": "x"}\n' * 9000)[:60])
    _, report = read(tmp_path / "a.jsonl.gz")
    assert report.num_bad == 1 and "gzip" in report.problems[0]["problem"]
    for name, data in (("a.parquet", b"PAR1"), ("b.json", b"{x"), ("c.json", b"3")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError):
            read(tmp_path / name)


def test_what_is_no_pool(tmp_path):
    with pytest.raises(MissingFileError):
        read(tmp_path / "gone.jsonl")
    (tmp_path / "a.txt").write_text("x")
    for place in (tmp_path / "a.txt", tmp_path):
        with pytest.raises(InputError):
            read(place)


def test_only_a_hundred_problems_are_named(tmp_path):
    (tmp_path / "a.jsonl").write_text("{\n" * 300)
    _, report = read(tmp_path / "a.jsonl")
    assert (report.num_bad, len(report.problems)) == (300, 100)
