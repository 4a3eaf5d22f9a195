"""Pools in the usual formats, row by row: unreadable rows are named, never fatal."""

import contextlib
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from burnish.base.canonical import parse_json
from burnish.base.errors import BurnishError, InputError, MissingFileError
from burnish.base.files import nearest_paths
from burnish.base.runs import files_outside_runs
from burnish.base.text import well_formed
from burnish.curate.samples import Sample, ShapeError, read_sample

KINDS = (".jsonl", ".jsonl.gz", ".json", ".parquet", ".arrow")
MAX_LINE_BYTES = 16_000_000
MAX_NAMED = 100  # rows whose problem is told one by one
MAX_RECODED = 10  # of them
FALLBACK = "cp1252"
UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(kw_only=True)
class PoolReport:
    """What reading a pool found. `problems` names the first rows; `num_` fields count all."""

    num_rows: int = 0
    num_bad: int = 0
    num_recoded: int = 0
    num_duplicate_ids: int = 0
    problems: list[dict[str, Any]] = field(default_factory=list)
    _ids: set[int] = field(default_factory=set, repr=False)

    def bad(self, where: str, problem: str, got: str) -> None:
        """Note a row that cannot be used."""
        self.num_bad += 1
        self.note(where, problem, got)

    def note(self, where: str, problem: str, got: str) -> None:
        """Name a row, up to a hundred rows."""
        if len(self.problems) < MAX_NAMED:
            text = well_formed(got[:80])
            self.problems.append({"row": where, "problem": problem, "got": text})

    def see(self, where: str, sample: Sample) -> None:
        """Count a usable row, and note an id that occurred before."""
        self.num_rows += 1
        key = json.dumps(sample.id, default=str)
        place = hash(key)
        if place in self._ids:
            self.num_duplicate_ids += 1
            self.note(where, "has an id that came before", key)
        self._ids.add(place)

    def to_dict(self) -> dict[str, Any]:
        """The counts, and the named rows."""
        names = ("num_rows", "num_bad", "num_recoded", "num_duplicate_ids", "problems")
        return {name: getattr(self, name) for name in names}


def read_pool(path: Path | str, report: PoolReport, *, any_shape: bool = False) -> Iterator[Sample]:
    """Yield the samples of a file or folder of .jsonl, .jsonl.gz, .json, .parquet or .arrow.

    JSONL, Parquet and Arrow are streamed. Rows that cannot be read are counted in `report` and
    named; lines over 16 MB are skipped without being held; a line that is not UTF-8 is read as
    Windows-1252 and counted. `any_shape` also gives rows without texts, such as embeddings.
    Raises: MissingFileError; InputError, for a file of no known kind or a damaged container.
    Source: ours. Oracle: tests/curate/test_pool.py::test_bad_rows_are_named_and_others_kept
    """
    number = 0
    for file in pool_files(path):
        for place, row in _rows(file, report):
            number += 1
            where = f"{file.name}:{place}"
            if isinstance(row, _Unread):
                report.bad(where, row.problem, row.got)
                continue
            try:
                sample = read_sample(row, number, any_shape=any_shape)
            except ShapeError as error:
                report.bad(where, error.rule, repr(error.value))
                continue
            report.see(where, sample)
            yield sample


def check_some(pool: Path | str, report: PoolReport) -> None:
    """Raise InputError where a pool that was read has no usable row: nothing follows from it."""
    if report.num_rows == 0:
        remedy = "It is empty"
        if report.problems:
            first = report.problems[0]
            remedy = f"{first['row']} {first['problem']}, got {first['got']!r}"
        rule = "must contain a row that can be used"
        raise InputError("pool", f"{pool}: {report.num_bad} bad rows", rule, remedy=remedy)


def pool_files(path: Path | str) -> list[Path]:
    """The files of a pool. Raises: MissingFileError; InputError, for no file of a known kind."""
    path = Path(path)
    if path.is_dir():
        found = [p for p in files_outside_runs(path) if p.name.endswith(KINDS)]
        found = [p for p in found if p.name not in ("dataset_info.json", "state.json")]
    elif path.is_file():
        found = [path] if path.name.endswith(KINDS) else []
    else:
        raise MissingFileError("pool", str(path), "does not exist", remedy=nearest_paths(path))
    if not found:
        rule, remedy = "must contain rows", f"Known endings: {', '.join(KINDS)}"
        raise InputError("pool", str(path), rule, remedy=remedy)
    return found


@dataclass(frozen=True)
class _Unread:
    problem: str
    got: str


def _rows(file: Path, report: PoolReport) -> Iterator[tuple[str, Mapping[str, Any] | _Unread]]:
    if file.name.endswith((".jsonl", ".jsonl.gz")):
        yield from _lines(file, report)
    elif file.name.endswith(".json"):
        yield from _array(file)
    else:
        yield from _columns(file)


def _lines(file: Path, report: PoolReport) -> Iterator[tuple[str, Mapping[str, Any] | _Unread]]:
    opener: Callable[..., Any] = gzip.open if file.name.endswith(".gz") else open
    number = 0
    try:
        with opener(file, "rb") as opened, _as_utf8(opened) as lines:
            for line in _bounded(lines):
                number += 1
                place = f"line {number}"
                if line is None:
                    rule = f"must have at most {MAX_LINE_BYTES:,} bytes"
                    yield place, _Unread(rule, "a longer line")
                elif line.strip():
                    yield place, _parsed(line, report, f"{file.name}:{place}")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        yield f"line {number + 1}", _Unread("must be a complete gzip file", str(error))


@contextlib.contextmanager
def _as_utf8(opened: Any) -> Iterator[Any]:
    """The same bytes, or those of a UTF-16 file in UTF-8."""
    if opened.peek(2)[:2] not in UTF16:
        yield opened
        return
    with io.TextIOWrapper(opened, encoding="utf-16", errors="replace", newline="\n") as text:
        yield _Recoded(text)


class _Recoded:
    """Lines of a text file as UTF-8 bytes."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text

    def readline(self, size: int) -> bytes:
        return self._text.readline(size).encode()


def _bounded(opened: Any) -> Iterator[bytes | None]:
    """Lines, with None for a line that is too long, whose bytes are skipped."""
    first = True
    while line := opened.readline(MAX_LINE_BYTES):
        if first:
            line, first = line.removeprefix(b"\xef\xbb\xbf"), False
        if line.endswith(b"\n") or len(line) < MAX_LINE_BYTES:
            yield line
            continue
        while (rest := opened.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
            pass
        yield None


def _parsed(line: bytes, report: PoolReport, where: str) -> Mapping[str, Any] | _Unread:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        text = line.decode(FALLBACK, errors="replace")
        report.num_recoded += 1
        if report.num_recoded <= MAX_RECODED:
            report.note(where, "is not UTF-8, and is read as Windows-1252", text.strip())
    try:
        row = parse_json(text, name="row")
    except (ValueError, BurnishError):
        return _Unread("must be JSON", text.strip())
    return row if isinstance(row, dict) else _Unread("must be a JSON object", text.strip())


def _array(file: Path) -> Iterator[tuple[str, Mapping[str, Any] | _Unread]]:
    data = file.read_bytes()
    try:
        text = data.decode("utf-16" if data[:2] in UTF16 else "utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode(FALLBACK, errors="replace")
    try:
        value = parse_json(text, name=str(file))
    except json.JSONDecodeError as error:
        where, remedy = f"{file}:{error.lineno}", f"The parser says: {error.msg}"
        raise InputError(where, text[error.pos : error.pos + 40], "must be JSON",
                         remedy=remedy) from None  # fmt: skip
    if isinstance(value, dict):  # {"data": [...]}, or columns
        value = next((v for v in value.values() if isinstance(v, list)), value)
    if not isinstance(value, list):
        rule, remedy = "must contain an array of objects", "Write [ ... ] around the rows"
        raise InputError(str(file), type(value).__name__, rule, remedy=remedy)
    for number, row in enumerate(value, start=1):
        good = isinstance(row, dict)
        yield f"row {number}", row if good else _Unread("must be a JSON object", repr(row))


def _columns(file: Path) -> Iterator[tuple[str, Mapping[str, Any] | _Unread]]:
    import pyarrow as pa

    number = 0
    try:
        for batch in _batches(file):
            for row in batch.to_pylist():
                number += 1
                yield f"row {number}", row
    except (pa.ArrowInvalid, OSError) as error:
        got = str(error).splitlines()[0]
        kind = "Parquet" if file.suffix == ".parquet" else "Arrow"
        remedy = "Fetch or write it again"
        raise InputError(str(file), got, f"must be a complete {kind} file", remedy=remedy) from None


def _batches(file: Path) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if file.suffix == ".parquet":
        with pq.ParquetFile(file) as table:
            yield from table.iter_batches(1024)
        return
    with pa.memory_map(str(file)) as source:
        try:
            reader: Sequence[Any] | Any = pa.ipc.open_stream(source)
            yield from reader
        except pa.ArrowInvalid:
            whole = pa.ipc.open_file(source)
            yield from (whole.get_batch(i) for i in range(whole.num_record_batches))
