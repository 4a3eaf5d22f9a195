"""Rows in files (JSONL, JSON, Parquet), and everything else that is read or written whole."""

# pyarrow has no types.
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false, reportUnknownArgumentType=false, reportMissingTypeStubs=false

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from burnish.base.canonical import content_hash, dump_json, file_hash, jsonable
from burnish.base.errors import InputError
from burnish.base.files import atomic_write, existing_file, read_json, write_json
from burnish.base.log import RecordLog, checked_row, parse_lines

__all__ = [
    "RecordLog",
    "atomic_write",
    "content_hash",
    "existing_file",
    "file_hash",
    "jsonable",
    "read_json",
    "read_records",
    "write_json",
    "write_records",
]


def read_records(path: Path | str) -> list[dict[str, Any]]:
    """Read rows from .jsonl, .jsonl.gz, .json (an array) or .parquet.

    Raises: MissingFileError; InputError, naming `path:line`.
    """
    path = existing_file(path)
    match _kind(path):
        case "jsonl":
            with path.open("rb") as file:
                return list(parse_lines(file, path))
        case "jsonl.gz":
            return _read_gzip(path)
        case "json":
            rows = read_json(path)
            if not isinstance(rows, list):
                rule, remedy = "must contain an array of objects", "Write [ ... ] around the rows"
                raise InputError(str(path), type(rows).__name__, rule, remedy=remedy)
            return [checked_row(row, f"{path}:row {i}") for i, row in enumerate(rows, start=1)]
        case _:
            return _read_parquet(path)


def write_records(path: Path | str, rows: Iterable[Mapping[str, Any] | Any]) -> None:
    """Write rows (mappings or dataclasses) as .jsonl, .jsonl.gz, .json or .parquet, at once.

    Parquet's columns are the keys of all rows; what a row lacks is null there.
    Raises: StorageError; InputError, for a suffix or a value that cannot be written.
    """
    path = Path(path)
    match _kind(path):
        case "jsonl":
            with atomic_write(path) as file:
                file.writelines(dump_json(row, name=str(path)) + "\n" for row in rows)
        case "jsonl.gz":
            import gzip

            with atomic_write(path, "wb") as file, gzip.GzipFile("", "wb", 6, file, 0) as packed:
                packed.writelines((dump_json(row, name=str(path)) + "\n").encode() for row in rows)
        case "json":
            write_json(path, list(rows))
        case _:
            _write_parquet(path, [jsonable(row) for row in rows])


def _kind(path: Path) -> str:
    for kind in ("jsonl.gz", "jsonl", "json", "parquet"):
        if path.name.endswith(f".{kind}"):
            return kind
    rule = "must end in .jsonl, .jsonl.gz, .json or .parquet"
    raise InputError("file", str(path), rule, remedy="Convert or rename it")


def _read_gzip(path: Path) -> list[dict[str, Any]]:
    import gzip
    import zlib

    try:
        with gzip.open(path, "rb") as file:
            return list(parse_lines(file, path))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        rule, remedy = "must be a complete gzip file", "Fetch or write it again"
        raise InputError(str(path), str(error), rule, remedy=remedy) from error


def _write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = list(dict.fromkeys(key for row in rows for key in row))
    try:  # not `Table.from_pylist`: it knows only the first row's keys
        table = pa.table({name: [row.get(name) for row in rows] for name in columns})
        with atomic_write(path, "wb") as file:
            pq.write_table(table, file)
    except pa.ArrowException as error:
        got, remedy = str(error).splitlines()[0], "Write .jsonl, which stores any rows"
        raise InputError(str(path), got, "must have one type per column", remedy=remedy) from error


def _read_parquet(path: Path) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path).to_pylist()
    except pa.ArrowInvalid as error:
        got, remedy = str(error).splitlines()[0], "Fetch or write it again"
        raise InputError(str(path), got, "must be a Parquet file", remedy=remedy) from error
