"""Shards: the same bytes after SIGKILL, widths of ids, streams across files."""

import os
import signal
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from burnish.base.errors import InputError
from burnish.data import shards
from burnish.data.heldout import document_key
from burnish.data.mixtures import Text
from burnish.data.shards import Build, Marks, TokenStream, build_shards, pieces_of, read_heldout

WORDS = ["".join(chr(97 + (i * k) % 26) for k in range(1 + i % 7)) for i in range(60)]


def encode(texts: Sequence[str]) -> list[list[int]]:
    return [[3 + ord(c) % 97 for c in text] for text in texts]


def texts() -> list[Text]:
    return [Text(part=i // 40, file=f"{i // 20}.txt", text=f"{i} {w}") for i, w in enumerate(WORDS)]


def make_build(**changes: Any) -> Build:
    heldout = frozenset(document_key(text.text, 5) for text in texts()[::9])
    given = {"marks": Marks(end=1), "vocab_size": 101, "seed": 5, "shard_tokens": 40}
    return Build(encode=encode, heldout=heldout, **given | changes)


def small_batches(monkeypatch: Any) -> None:
    monkeypatch.setattr(shards, "BATCH_CHARACTERS", 20)


def killed_build(folder: Path) -> None:
    exact, written = shards._write_block, []

    def write(*given: Any) -> Any:
        row = exact(*given)
        written.append(row)
        if len(written) == 3:
            os.kill(os.getpid(), signal.SIGKILL)  # the files are there, the log's row is not
        return row

    shards._write_block = write
    build_shards(folder, iter(texts()), make_build())


def check_resumed(tmp_path: Path) -> None:
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    straight.mkdir()
    killed.mkdir()
    wanted = build_shards(straight, iter(texts()), make_build())
    process = get_context("fork").Process(target=killed_build, args=(killed,))
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    assert build_shards(killed, iter(texts()), make_build()) == wanted
    files = {path.name: path.read_bytes() for path in straight.iterdir()}
    assert {path.name: path.read_bytes() for path in killed.iterdir()} == files
    assert len(files) > 6


def test_killed_and_resumed_equals_straight(tmp_path: Path, monkeypatch: Any) -> None:
    small_batches(monkeypatch)
    check_resumed(tmp_path)


def test_planted_resumption_that_skips_too_little(tmp_path: Path, monkeypatch: Any) -> None:
    small_batches(monkeypatch)
    exact = shards.itertools.islice

    class Wrong:
        groupby = staticmethod(shards.itertools.groupby)
        islice = staticmethod(lambda it, start, stop: exact(it, max(0, start - 1), stop))

    monkeypatch.setattr(shards, "itertools", Wrong)
    with pytest.raises(AssertionError):
        check_resumed(tmp_path)


def test_a_stream_crosses_shards(tmp_path: Path, monkeypatch: Any) -> None:
    """Every training document once, its end once, none of the held-out ones."""
    small_batches(monkeypatch)
    build = make_build()
    manifest = build_shards(tmp_path, iter(texts()), build)
    assert manifest["dtype"] == "uint16" and manifest["part_numbers"] == [0, 1]
    for number, part in enumerate(manifest["parts"]):
        own = [t for t in texts() if t.part == number]
        own = [t for t in own if document_key(t.text, 5) not in build.heldout]
        wanted = [i for text in own for i in (*encode([text.text])[0], 1)]
        stream = TokenStream(tmp_path, part, manifest["dtype"])
        assert len(part["shards"]) > 1 and len(stream) == part["num_tokens"] == len(wanted)
        for begin, end in [(0, len(wanted)), (37, 95), (len(wanted) - 3, len(wanted) + 9)]:
            assert stream.read(begin, end).tolist() == wanted[begin:end]
    held = read_heldout(tmp_path, manifest)
    assert {row["id"] for row in held} == build.heldout
    assert [row["tokens"] for row in held] == encode([row["text"] for row in held])
    assert manifest["num_ends"] == 60 and manifest["num_begins"] == 0


def test_a_begin_token_once_a_document(tmp_path: Path) -> None:
    two = [Text(part=0, file="a", text="x"), Text(part=0, file="a", text="y")]
    build = make_build(marks=Marks(end=1, begin=2))
    manifest = build_shards(tmp_path, iter(two), build)
    found = TokenStream(tmp_path, manifest["parts"][0], "uint16").read(0, 99).tolist()
    assert (found.count(2), found.count(1)) == (2, 2)
    assert (manifest["num_begins"], manifest["num_ends"]) == (2, 2)


@pytest.mark.parametrize(("vocab", "width"), [(65536, "uint16"), (65537, "uint32")])
def test_width_of_ids(vocab: int, width: str, tmp_path: Path) -> None:
    build = make_build(vocab_size=vocab)
    largest = Build(**vars(build) | {"encode": lambda texts: [[vocab - 1] for _ in texts]})
    manifest = build_shards(tmp_path, iter(texts()[1:5]), largest)
    assert manifest["dtype"] == width
    found = TokenStream(tmp_path, manifest["parts"][0], width).read(0, 2)
    assert found.dtype == np.int64 and found.tolist() == [vocab - 1, 1]
    outside = Build(**vars(build) | {"encode": lambda texts: [[vocab] for _ in texts]})
    with pytest.raises(InputError, match="must lie below the vocabulary"):
        build_shards(tmp_path / "other", iter(texts()[1:5]), outside)


def test_pieces_join_to_the_text() -> None:
    text = "ab cd\nef" * 9 + "x" * 30
    pieces = pieces_of(text, 10)
    assert "".join(pieces) == text and max(map(len, pieces)) <= 10
    assert all(piece[-1] in " \n" or len(piece) == 10 for piece in pieces[:-1])
    assert pieces_of("short", 10) == ["short"]
