"""Files that are never half-written, and errors that say which file and what to do."""

import contextlib
import errno
import json
import os
import secrets
from collections.abc import Generator
from pathlib import Path
from typing import IO, Any

from burnish.base.canonical import dump_json, parse_json
from burnish.base.errors import BurnishError, InputError, MissingFileError, StorageError
from burnish.base.naming import suggest

FULL_ERRORS = {errno.ENOSPC, errno.EDQUOT}
WRITE_ERRORS = {*FULL_ERRORS, errno.EIO, errno.EFBIG, errno.EROFS}  # these name no file


def cache_folder() -> Path:
    """Where what can be made again is kept.

    `$BURNISH_CACHE`, else `$XDG_CACHE_HOME/burnish`, else `~/.cache/burnish`.
    """
    if chosen := os.environ.get("BURNISH_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "burnish"


@contextlib.contextmanager
def atomic_write(path: Path | str, mode: str = "w") -> Generator[IO[Any], None, None]:
    """Open a file that appears under its name only when the block ends well.

    Raises: StorageError, if the disk refuses; whatever happens, no temporary file stays.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    encoding = None if "b" in mode else "utf-8"
    with storage_errors(path, temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open(mode.replace("w", "x"), encoding=encoding) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            _sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def write_json(path: Path | str, value: Any) -> None:
    """Write a value as indented JSON. Raises: StorageError; InputError, for NaN or infinities."""
    text = dump_json(value, indent=2, name=str(path))
    with atomic_write(path) as file:
        file.write(text + "\n")


def read_text(path: Path | str) -> str:
    """Read a UTF-8 file, without its byte order mark. Raises: MissingFileError; InputError."""
    path = existing_file(path)
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        got = error.object[error.start : error.end]
        raise InputError(str(path), got, "must be UTF-8", remedy="Convert the file") from None


def read_json(path: Path | str) -> Any:
    """Read a JSON file. Raises: MissingFileError; InputError, naming the line."""
    text = read_text(path)
    try:
        return parse_json(text, name=str(path))
    except json.JSONDecodeError as error:
        got = "".join(text.splitlines()[error.lineno - 1 : error.lineno])[:80]
        where, remedy = f"{path}:{error.lineno}", f"The parser says: {error.msg}"
        raise InputError(where, got, "must be JSON", remedy=remedy) from None


def existing_file(path: Path | str) -> Path:
    """Return the path of a file that exists. Raises: MissingFileError, with the nearest names."""
    path = Path(path)
    if path.is_file():
        return path
    if path.is_dir():
        raise MissingFileError("file", str(path), "is a folder", remedy="Name a file in it")
    raise MissingFileError("file", str(path), "does not exist", remedy=nearest_paths(path))


def nearest_paths(path: Path) -> str:
    """Return a remedy for a path that does not exist: the nearest names beside it."""
    if not path.parent.is_dir():
        return f"There is no folder {str(path.parent)!r} either"
    beside = [p.name for p in path.parent.iterdir() if not p.name.startswith(".")]
    return suggest(path.name, beside) if beside else f"The folder {str(path.parent)!r} is empty"


@contextlib.contextmanager
def storage_errors(path: Path, *own: Path) -> Generator[None, None, None]:
    """Turn the system's errors about `path` into StorageError; let all others through.

    Others are those of files that the block reads meanwhile, or of a network.
    """
    try:
        yield
    except BurnishError:
        raise
    except OSError as error:
        ours = {str(p) for p in (path, *path.parents, *own)}
        nameless = error.filename is None and error.errno in WRITE_ERRORS
        if not nameless and str(error.filename) not in ours:
            raise
        rule = f"could not be written ({error.strerror or error})"
        remedy = f"Check the permissions of {str(path.parent)!r}"
        if error.errno in FULL_ERRORS:
            remedy = f"Free some space on the disk of {str(path.parent)!r}, then start again"
        raise StorageError("file", str(path), rule, remedy=remedy) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
