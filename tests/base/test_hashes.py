"""Remembered hashes are those of the content, whatever the clock says."""

import os
import time

import pytest

from burnish.base import hashes
from burnish.base.canonical import file_hash
from burnish.base.hashes import remembered_hash


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BURNISH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hashes, "LEAST_BYTES", 1)
    return tmp_path / "cache" / "hashes"


def written(path, content, *, age_s=100.0):
    path.write_bytes(content)
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def check_changes(path):
    """Same size, same modification time, another content."""
    written(path, b"one")
    told = path.stat().st_mtime_ns
    assert remembered_hash(path) == file_hash(path) == remembered_hash(path)
    time.sleep(0.01)
    path.write_bytes(b"two")
    os.utime(path, ns=(told, told))
    assert remembered_hash(path) == file_hash(path)
    other = written(path.with_name("other"), b"six")
    os.utime(other, ns=(told, told))
    os.replace(other, path)
    assert remembered_hash(path) == file_hash(path)


def test_a_changed_file_has_another_hash(cache, tmp_path):
    check_changes(tmp_path / "weights")


def test_planted_identity_by_size_and_time(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(
        hashes, "_identity", lambda path: [path.stat().st_size, path.stat().st_mtime_ns]
    )
    with pytest.raises(AssertionError):
        check_changes(tmp_path / "weights")


def test_a_settled_file_is_read_once(cache, tmp_path, monkeypatch):
    path = written(tmp_path / "weights", b"one")
    found = remembered_hash(path)
    (entry,) = cache.iterdir()
    assert len(entry.stem) == 32 and entry.suffix == ".json"
    monkeypatch.setattr(hashes, "file_hash", lambda _: pytest.fail("read again"))
    assert remembered_hash(path) == found
    link = tmp_path / "link"
    link.symlink_to(path)
    assert remembered_hash(link) == found


def test_a_file_that_was_just_written_is_not_remembered(cache, tmp_path):
    assert remembered_hash(written(tmp_path / "weights", b"one", age_s=0))
    assert not cache.exists()


def test_small_files_are_not_remembered(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(hashes, "LEAST_BYTES", 4)
    assert remembered_hash(written(tmp_path / "a", b"one")) == file_hash(tmp_path / "a")
    assert not cache.exists()


@pytest.mark.parametrize("damage", ["{", "[]", "{}", '{"identity": 3}'])
def test_a_damaged_entry_is_made_again(damage, cache, tmp_path):
    path = written(tmp_path / "weights", b"one")
    remembered_hash(path)
    (entry,) = cache.iterdir()
    entry.write_text(damage)
    assert remembered_hash(path) == file_hash(path)
    assert "sha256" in entry.read_text()


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("BURNISH_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(hashes, "LEAST_BYTES", 1)
    path = written(tmp_path / "weights", b"one")
    assert remembered_hash(path) == file_hash(path)
