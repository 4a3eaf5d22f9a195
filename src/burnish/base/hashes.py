"""Hashes of large files, remembered as long as the file is the same one."""

import contextlib
import time
from pathlib import Path

from burnish.base.canonical import content_hash, file_hash
from burnish.base.errors import BurnishError
from burnish.base.files import cache_folder, read_json, write_json

LEAST_BYTES = 1 << 24  # smaller files are hashed faster than looked up
SETTLED_S = 2.0  # a file that was just written may change again without a new time


def remembered_hash(path: Path) -> str:
    """`file_hash`, read from the cache of this machine where path, size, times and inode agree.

    The times only say whether the remembered hash still holds; they are no part of any key. A
    file that was written in the last two seconds, or changes while it is read, is not remembered;
    nor is any where the cache cannot be written.
    Source: ours (the racy-entry rule is that of git's index).
    Oracle: tests/base/test_hashes.py::test_a_changed_file_has_another_hash
    """
    if path.stat().st_size < LEAST_BYTES:
        return file_hash(path)
    before = _identity(path)
    place = cache_folder() / "hashes" / f"{content_hash(before)[:32]}.json"
    with contextlib.suppress(BurnishError, OSError, LookupError, TypeError):
        told = read_json(place)
        if told["identity"] == before:
            return str(told["sha256"])
    found = file_hash(path)
    settled = time.time() - path.stat().st_mtime > SETTLED_S
    if settled and _identity(path) == before:
        with contextlib.suppress(BurnishError, OSError):
            write_json(place, {"identity": before, "sha256": found})
    return found


def _identity(path: Path) -> list[str | int]:
    path = path.resolve()
    told = path.stat()
    return [str(path), told.st_size, told.st_mtime_ns, told.st_ctime_ns, told.st_ino]
