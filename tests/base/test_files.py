"""Files: what is written whole or not at all, and how refusals are worded."""

import os

import pytest

from burnish.base.errors import InputError, MissingFileError, StorageError
from burnish.base.files import atomic_write, cache_folder, existing_file, read_json, read_text


def test_a_refusal_names_the_file_that_was_asked_for(tmp_path):
    (tmp_path / "f").write_text("a file, no folder")
    wanted = tmp_path / "f" / "x.json"
    with pytest.raises(StorageError) as caught, atomic_write(wanted):
        pass
    told = str(caught.value)
    assert told.startswith("file could not be written (") and f"got {str(wanted)!r}" in told
    assert ".tmp" not in told and f"permissions of {str(wanted.parent)!r}" in told


@pytest.mark.parametrize("mode", ["w", "wb"])
def test_a_block_that_fails_leaves_the_old_file_alone(tmp_path, mode):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(ValueError), atomic_write(path, mode) as file:
        file.write("new" if mode == "w" else b"new")
        raise ValueError
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a"]
    with atomic_write(path, mode) as file:
        file.write("é" if mode == "w" else "é".encode())
    assert path.read_bytes() == "é".encode() and os.listdir(tmp_path) == ["a"]


def test_texts_are_utf_8_with_or_without_a_mark(tmp_path):
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbf{}")
    assert read_text(tmp_path / "a") == "{}" and read_json(tmp_path / "a") == {}
    (tmp_path / "b").write_bytes(b"a\xff")
    with pytest.raises(InputError, match=r"must be UTF-8, got b'\\xff'"):
        read_text(tmp_path / "b")
    (tmp_path / "c").write_text('{"a": 1,\n "b": }')
    with pytest.raises(InputError, match=r"c:2 must be JSON, got ' \"b\": }'"):
        read_json(tmp_path / "c")


def test_missing_files_name_their_neighbours(tmp_path):
    with pytest.raises(MissingFileError, match="is empty"):
        existing_file(tmp_path / "a")
    (tmp_path / "result.json").touch()
    with pytest.raises(MissingFileError, match=r"Did you mean 'result\.json'"):
        existing_file(tmp_path / "reslt.json")
    with pytest.raises(MissingFileError, match="is a folder"):
        existing_file(tmp_path)
    with pytest.raises(MissingFileError, match="no folder"):
        existing_file(tmp_path / "no" / "a")


def test_where_the_cache_is(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/of")
    monkeypatch.delenv("BURNISH_CACHE", raising=False)
    for given, place in ((None, "/home/of/.cache"), ("", "/home/of/.cache"), ("/x", "/x")):
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        if given is not None:
            monkeypatch.setenv("XDG_CACHE_HOME", given)
        assert str(cache_folder()) == f"{place}/burnish"
    monkeypatch.setenv("BURNISH_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
