"""Files are whole or absent; hashes are those of canonical JSON; damage is named by line."""

import enum
import errno
import gzip
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from burnish.base import records
from burnish.base.errors import InputError, MissingFileError, StorageError
from burnish.base.records import (
    RecordLog,
    atomic_write,
    content_hash,
    file_hash,
    read_json,
    read_records,
    write_json,
    write_records,
)


class Colour(enum.StrEnum):
    RED = "red"


@dataclass(frozen=True, kw_only=True)
class Row:
    id: str
    sizes: tuple[int, ...]


ROWS = [{"id": "a", "text": "zwei\nZeilen, é"}, {"id": "b", "text": ""}]


# --- hashes -------------------------------------------------------------------------------------


def check_content_hash(fn):
    cases = [
        ({"b": 1, "a": [1.5, None]}, '{"a":[1.5,null],"b":1}'),
        ({"a": (1, 2), "é": True}, '{"a":[1,2],"é":true}'),
        (Row(id="x", sizes=(3, 5)), '{"id":"x","sizes":[3,5]}'),
        ([Colour.RED, Path("a/b"), {3, 1, 2}], '["red","a/b",[1,2,3]]'),
        ({Colour.RED: np.float64(0.5), 7: np.arange(3)}, '{"7":[0,1,2],"red":0.5}'),
    ]
    for value, text in cases:
        assert fn(value) == hashlib.sha256(text.encode()).hexdigest()


def test_content_hash_is_the_sha256_of_canonical_json():
    check_content_hash(content_hash)


def test_planted_hash_of_the_order_of_keys_is_seen():
    def unsorted(value):
        text = json.dumps(records.jsonable(value), ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    with pytest.raises(AssertionError):
        check_content_hash(unsorted)


def test_what_json_cannot_say_is_refused():
    with pytest.raises(InputError, match="finite"):
        content_hash({"a": float("nan")})
    with pytest.raises(TypeError, match="no JSON form"):
        content_hash(object())


def test_file_hash_is_the_sha256_of_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 100_000)
    assert file_hash(tmp_path / "a") == hashlib.sha256(b"abc" * 100_000).hexdigest()


# --- atomic writes ------------------------------------------------------------------------------


def check_atomic(write, tmp_path):
    """A writer that fails in the middle leaves the old file and nothing else."""
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), write(path) as file:
        file.write("new, but ")
        raise RuntimeError("cut off")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    check_atomic(atomic_write, tmp_path)


def test_planted_plain_open_is_seen(tmp_path):
    with pytest.raises(AssertionError):
        check_atomic(lambda path: path.open("w"), tmp_path)


def test_a_write_makes_its_folders_and_ordinary_permissions(tmp_path):
    with atomic_write(tmp_path / "x" / "y.txt") as file:
        file.write("é")
    assert (tmp_path / "x" / "y.txt").read_bytes() == "é".encode()
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "x" / "y.txt").stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_full_disk_is_told_with_its_folder(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left") as caught:
        write_json(tmp_path / "a.json", 1)
    assert f"Free some space on the disk of {str(tmp_path)!r}" in str(caught.value)
    assert "a.json'" in str(caught.value) and ".tmp" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StorageError, match="No space left"):
        RecordLog(tmp_path / "log.jsonl", fsync=True).append({"a": 1})
    assert (tmp_path / "log.jsonl").read_bytes() == b""  # not half a row


def test_a_folder_that_is_a_file_is_told(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(StorageError):
        write_json(tmp_path / "a" / "b.json", 1)


def test_errors_of_other_files_pass_through(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, atomic_write(tmp_path / "a"):
        (tmp_path / "elsewhere" / "b").read_text()
    assert not isinstance(caught.value, StorageError)
    with pytest.raises(MissingFileError), atomic_write(tmp_path / "a"):
        read_json(tmp_path / "b")
    with pytest.raises(ConnectionError), atomic_write(tmp_path / "a"):
        raise ConnectionResetError(errno.ECONNRESET, "reset")
    assert list(tmp_path.iterdir()) == []


# --- JSON and rows ------------------------------------------------------------------------------


def test_json_comes_back_as_it_was(tmp_path):
    write_json(tmp_path / "a.json", {"é": [1, 2.5, None, {"b": "c"}], "row": Row(id="a", sizes=())})
    want = {"é": [1, 2.5, None, {"b": "c"}], "row": {"id": "a", "sizes": []}}
    assert read_json(tmp_path / "a.json") == want


def test_bad_json_is_named_by_line(tmp_path):
    (tmp_path / "a.json").write_text('{\n"a": 1,\n"b": oops\n}')
    with pytest.raises(InputError, match=r"a\.json:3 must be JSON, got '\"b\": oops'"):
        read_json(tmp_path / "a.json")
    (tmp_path / "b.json").write_bytes(b'"\xff"')
    with pytest.raises(InputError, match="UTF-8"):
        read_json(tmp_path / "b.json")


def test_a_missing_file_suggests_its_neighbour(tmp_path):
    (tmp_path / "tasks.jsonl").write_text("")
    with pytest.raises(MissingFileError, match=r"Did you mean 'tasks.jsonl'\?"):
        read_records(tmp_path / "task.jsonl")
    with pytest.raises(MissingFileError, match="no folder"):
        read_records(tmp_path / "a" / "b.jsonl")
    with pytest.raises(MissingFileError, match="is a folder"):
        read_records(tmp_path)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.json", "a.parquet"])
def test_rows_come_back_from_every_format(tmp_path, name):
    write_records(tmp_path / name, ROWS)
    assert read_records(tmp_path / name) == ROWS
    assert [p.name for p in tmp_path.iterdir()] == [name]
    write_records(tmp_path / name, [Row(id="x", sizes=(1, 2))])
    assert read_records(tmp_path / name) == [{"id": "x", "sizes": [1, 2]}]


def check_rows_of_different_keys(write, path):
    """What any row has comes back; what a row lacks is null."""
    write(path, [{"a": 1}, {"b": "x", "a": 2}, {}, {"c": [3]}])
    assert read_records(path) == [
        {"a": 1, "b": None, "c": None},
        {"a": 2, "b": "x", "c": None},
        {"a": None, "b": None, "c": None},
        {"a": None, "b": None, "c": [3]},
    ]


def test_parquet_keeps_columns_that_the_first_row_lacks(tmp_path):
    check_rows_of_different_keys(write_records, tmp_path / "a.parquet")


def test_planted_columns_of_the_first_row(tmp_path):
    def first(path, rows):
        keys = list(rows[0])
        write_records(path, [{key: row.get(key) for key in keys} for row in rows])

    with pytest.raises(AssertionError):
        check_rows_of_different_keys(first, tmp_path / "a.parquet")


@pytest.mark.parametrize("rows", [[{"a": 1}, {"a": "x"}], [{"a": {}}], [{"a": [1, {"b": 2}]}]])
def test_rows_that_parquet_cannot_hold(tmp_path, rows):
    with pytest.raises(InputError, match=r"must have one type per column, got .*jsonl"):
        write_records(tmp_path / "a.parquet", rows)
    assert list(tmp_path.iterdir()) == []


def test_no_rows_come_back_from_parquet(tmp_path):
    write_records(tmp_path / "a.parquet", [])
    assert read_records(tmp_path / "a.parquet") == []


def test_equal_rows_make_equal_gzip_files(tmp_path):
    write_records(tmp_path / "a.jsonl.gz", ROWS)
    write_records(tmp_path / "b.jsonl.gz", iter(ROWS))
    assert file_hash(tmp_path / "a.jsonl.gz") == file_hash(tmp_path / "b.jsonl.gz")


def test_blank_lines_are_no_rows(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n\n{"a": 2}')
    assert read_records(tmp_path / "a.jsonl") == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("bad", [b"{oops", b"[1]", b'{"a": "\xff"}'])
def test_a_bad_row_is_named_by_file_and_line(tmp_path, bad):
    (tmp_path / "a.jsonl").write_bytes(b'{"a": 1}\n' + bad + b"\n")
    with pytest.raises(InputError, match=r"a\.jsonl:2 must be"):
        read_records(tmp_path / "a.jsonl")


def test_damaged_files_are_input_errors(tmp_path):
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"a": 1}\n')[:-9])
    (tmp_path / "a.parquet").write_bytes(b"no parquet")
    (tmp_path / "a.json").write_text('{"a": 1}')
    (tmp_path / "a.csv").write_text("a\n1\n")
    for name in ("a.jsonl.gz", "a.parquet", "a.json", "a.csv"):
        with pytest.raises(InputError):
            read_records(tmp_path / name)


# --- logs ---------------------------------------------------------------------------------------


def check_torn_log(make_log, tmp_path):
    """Cut the file after every byte: whole rows stay, and the next row joins them."""
    rows = [{"i": 1}, {"i": 22, "s": "é"}, {"i": 333}]
    whole = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    for length in range(len(whole) + 1):
        path = tmp_path / f"{length}.jsonl"
        path.write_bytes(whole[:length])
        num_whole = whole[:length].count(b"\n")
        if length % 2:  # with and without reading first
            assert make_log(path).read() == rows[:num_whole]
        with make_log(path) as log:
            log.append({"next": True})
        assert make_log(path).read() == [*rows[:num_whole], {"next": True}]


def test_a_log_loses_only_its_torn_row(tmp_path):
    check_torn_log(RecordLog, tmp_path)


def test_planted_log_that_appends_to_a_torn_row_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr("burnish.base.log._cut_torn_line", lambda path: None)
    with pytest.raises((AssertionError, InputError)):
        check_torn_log(RecordLog, tmp_path)


def test_a_torn_row_longer_than_a_block_is_cut(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"a": 1}\n{"b": "' + b"x" * 200_000)
    assert RecordLog(path).read() == [{"a": 1}]
    assert path.read_bytes() == b'{"a": 1}\n'


def test_peeking_changes_nothing(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"a": 1}\n{"b"')
    assert RecordLog(path).peek() == [{"a": 1}]
    assert path.read_bytes() == b'{"a": 1}\n{"b"'


def test_a_log_damaged_inside_is_refused(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"a": 1}\n{"b"\n{"c": 1}\n')
    with pytest.raises(InputError, match=r"log\.jsonl:2"):
        RecordLog(path).read()


def test_a_log_that_is_not_there_is_empty(tmp_path):
    assert RecordLog(tmp_path / "log.jsonl").read() == []


def test_a_log_is_a_file_that_nobody_may_execute(tmp_path):
    RecordLog(tmp_path / "a.jsonl").append({"a": 1})
    assert (tmp_path / "a.jsonl").stat().st_mode & 0o111 == 0


@pytest.mark.parametrize("use", [read_records, lambda path: write_records(path, [{"a": 1}])])
def test_a_format_that_is_not_known_is_named(tmp_path, use):
    path = tmp_path / "rows.csv"
    path.touch()
    with pytest.raises(InputError, match=r"^file must end in \.jsonl.*got '[^']*rows\.csv'"):
        use(path)


def test_a_json_file_of_one_object_is_named(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text('{"a": 1}')
    with pytest.raises(InputError) as told:
        read_records(path)
    assert str(told.value).startswith(f"{path} must contain an array of objects, got 'dict'.")
