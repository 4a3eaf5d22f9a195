"""Mixtures: specs, files of every kind, line ends, and what is no text."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from burnish.base.errors import BurnishError, SettingError
from burnish.data import plain
from burnish.data.mixtures import Part, Reading, Skipped, mixture_key, parse_mixture, read_mixture


def read(path: Path | str, **reading: Any) -> list[tuple[str, str]]:
    texts = read_mixture(parse_mixture(str(path)), Reading(**reading))
    return [(text.file, text.text) for text in texts]


def test_specs() -> None:
    assert parse_mixture("a.txt") == [Part(spec="a.txt")]
    assert parse_mixture("a.txt:0.7, b.jsonl:0.3") == [
        Part(spec="a.txt", weight=0.7),
        Part(spec="b.jsonl", weight=0.3),
    ]
    assert parse_mixture("hub:name=a/b,column=body:2,stdlib:1") == [
        Part(spec="hub:name=a/b,column=body", weight=2.0),
        Part(spec="stdlib", weight=1.0),
    ]


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("a:0.5,b", "every part a weight"),
        ("a:-1", "positive weights"),
        ("a,,b", "must name a source"),
    ],
)
def test_refused_specs(spec: str, says: str) -> None:
    with pytest.raises(SettingError, match=says):
        parse_mixture(spec)


def test_folder_of_every_kind(tmp_path: Path) -> None:
    """The case `one command on mixed text`, and the other formats."""
    (tmp_path / "a.txt").write_text("one\n\ntwo")
    (tmp_path / "b.jsonl").write_text('{"text":"three"}')
    (tmp_path / "c.md").write_text("four")
    assert read(tmp_path) == [
        ("a.txt", "one"),
        ("a.txt", "two"),
        ("b.jsonl", "three"),
        ("c.md", "four"),
    ]
    (tmp_path / "inner").mkdir()
    with gzip.open(tmp_path / "inner" / "d.jsonl.gz", "wt") as file:
        file.write(json.dumps({"text": "five"}))
    pq.write_table(pa.table({"text": ["six", "seven"], "n": [1, 2]}), tmp_path / "e.parquet")
    (tmp_path / "f.py").write_text("eight = 8\n\n\nnine = 9\n")
    (tmp_path / "picture.png").write_bytes(b"\x89\0")
    assert read(tmp_path)[4:] == [
        ("e.parquet", "six"),
        ("e.parquet", "seven"),
        ("f.py", "eight = 8\n\n\nnine = 9\n"),
        ("inner/d.jsonl.gz", "five"),
    ]
    assert read(tmp_path / "e.parquet", column="text")[0][1] == "six"
    with pytest.raises(BurnishError, match="must contain text in 'body'"):
        read(tmp_path / "b.jsonl", column="body")


def test_crlf_and_empty_documents(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"first\r\n\r\n\r\nword word \r\n\r\nlast\r\n")
    skipped = Skipped()
    texts = list(read_mixture(parse_mixture(str(path)), Reading(), skipped))
    assert [text.text for text in texts] == ["first", "word word ", "last"]
    assert skipped.num_line_ends == 6
    path.write_bytes(bytes.fromhex("610d0a620d0a0d0a630d0a"))
    assert [text for _, text in read(path)] == ["a\nb", "c"]
    assert [text for _, text in read(path, units="lines")] == ["a", "b", "c"]
    assert [text for _, text in read(path, units="file")] == ["a\nb\n\nc\n"]
    (tmp_path / "rows.jsonl").write_text('{"text": ""}\n{"text": " \\n"}\n{"text": "x"}\n')
    skipped = Skipped()
    assert len(list(read_mixture(parse_mixture(str(tmp_path)), Reading(), skipped))) == 3
    assert skipped.num_empty == 2


def test_a_binary_file_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    good, bad = tmp_path / "a.txt", tmp_path / "b.txt"
    good.write_text("fine")
    bad.write_bytes(bytes.fromhex("50001ffffe00ff68"))
    with pytest.raises(BurnishError, match=r"b\.txt holds a NUL byte, got 'byte 1'"):
        read(tmp_path)
    monkeypatch.setattr(plain, "BLOCK_BYTES", 4)  # the character is cut by the block
    bad.write_bytes("naïve ".encode() + b"\xff\xfeh")
    with pytest.raises(BurnishError, match="is not UTF-8, got 'byte 7'"):
        read(tmp_path)
    bad.write_bytes(b"abc\xc3")
    with pytest.raises(BurnishError, match="ends inside a character of UTF-8, got 'byte 3'"):
        read(tmp_path)
    skipped = Skipped()
    reading = Reading(skip_bad_files=True)
    texts = list(read_mixture(parse_mixture(str(tmp_path)), reading, skipped))
    assert [text.text for text in texts] == ["fine"]
    assert list(skipped.files) == ["b.txt"]


@pytest.mark.parametrize(
    ("spec", "says"), [("./no.txt", "does not exist"), ("stdlub", "Did you mean 'stdlib'")]
)
def test_sources_that_are_not_there(spec: str, says: str) -> None:
    with pytest.raises(BurnishError, match=says):
        read(spec)


def test_key_is_that_of_the_content(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one")
    parts, reading = parse_mixture(str(path)), Reading()
    key = mixture_key(parts, reading)
    path.touch()
    assert mixture_key(parts, reading) == key
    path.write_text("two")
    assert mixture_key(parts, reading) != key
    assert len(mixture_key(parse_mixture("stdlib"), reading)) == 64
