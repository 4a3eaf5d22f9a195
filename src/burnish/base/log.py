"""An append-only log of rows, for work that may be interrupted and resumed."""

# What a line of a log holds is unknown.
# pyright: reportUnknownVariableType=false

import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from burnish.base.canonical import dump_json, parse_json
from burnish.base.errors import InputError
from burnish.base.files import storage_errors


class RecordLog:
    """An append-only JSONL file that survives SIGKILL: at most the row being written is lost.

    One writer at a time. `fsync=True` also survives a power cut, at a few ms a row.
    """

    def __init__(self, path: Path | str, *, fsync: bool = False) -> None:
        self.path = Path(path)
        self.fsync = fsync
        self._descriptor: int | None = None

    def append(self, row: Mapping[str, Any]) -> None:
        """Add one row. Raises: StorageError, with the file as it was before; InputError."""
        line = (dump_json(row, name=str(self.path)) + "\n").encode()
        with storage_errors(self.path):
            if self._descriptor is None:
                self._descriptor = self._open()
            size = os.fstat(self._descriptor).st_size
            try:
                if os.write(self._descriptor, line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                if self.fsync:
                    os.fsync(self._descriptor)
            except OSError:
                os.ftruncate(self._descriptor, size)
                raise

    def read(self) -> list[dict[str, Any]]:
        """All rows, after cutting off a torn last one. Raises: InputError, for damage elsewhere."""
        if self.path.exists():
            _cut_torn_line(self.path)
        return self.peek()

    def peek(self) -> list[dict[str, Any]]:
        """All whole rows, the file left as it is: for readers of a log that is being written."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            return list(parse_lines((line for line in file if line.endswith(b"\n")), self.path))

    def close(self) -> None:
        """Release the file; a later `append` opens it again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> "RecordLog":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def _open(self) -> int:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            _cut_torn_line(self.path)  # or the next row would be glued to it
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)


def parse_lines(lines: Iterable[bytes], path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of JSONL. Raises: InputError, naming `path:line`."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            where = f"{path}:{number}"
            try:
                row = parse_json(line, name=where)
            except InputError:
                raise
            except ValueError:  # JSONDecodeError and UnicodeDecodeError
                got = line[:80].decode("utf-8", "replace").strip()
                remedy = "Each line holds one JSON object, in UTF-8"
                raise InputError(where, got, "must be JSON", remedy=remedy) from None
            yield checked_row(row, where)


def checked_row(row: Any, where: str) -> dict[str, Any]:
    """Return a row that is an object. Raises: InputError, naming `where`."""
    if not isinstance(row, dict):
        raise InputError(where, row, "must be a JSON object", remedy='Write {"field": value}')
    return row


def _cut_torn_line(path: Path) -> None:
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        kept = end
        while kept > 0:  # look backwards for the last line end, block by block
            start = max(0, kept - 65_536)
            file.seek(start)
            found = file.read(kept - start).rfind(b"\n")
            kept = start if found < 0 else start + found + 1
            if found >= 0:
                break
        if kept < end:
            file.truncate(kept)
