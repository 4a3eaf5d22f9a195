"""Mixtures of texts, written `a.txt:0.7,b.jsonl:0.3`: their documents, one after another.

A part is a file, a folder, or a corpus (`stdlib`, `hub:name=...`), and may end with a weight.
"""

import gzip
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from burnish.base.canonical import content_hash
from burnish.base.errors import InputError, MissingFileError, SettingError
from burnish.base.files import nearest_paths
from burnish.base.hashes import remembered_hash
from burnish.base.log import parse_lines
from burnish.base.records import read_records
from burnish.data.corpora import parse_corpus
from burnish.data.corpora.files import ROWS, text_files
from burnish.data.plain import plain_documents

Units = Literal["auto", "file", "paragraphs", "lines"]
PROSE = {".txt", ".md", ".rst"}


@dataclass(frozen=True, kw_only=True)
class Part:
    """One source of a mixture. `weight` is its share of the training tokens; None: all equal."""

    spec: str
    weight: float | None = None


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How texts become documents.

    `units` says what a document of a text file is: `auto` takes paragraphs (parted by blank lines)
    of prose (.txt, .md, .rst) and whole files of anything else. `column` holds the text of rows.
    A file that is no text is refused, or with `skip_bad_files` left out and listed.
    """

    units: Units = "auto"
    column: str = "text"
    skip_bad_files: bool = False


@dataclass(frozen=True, kw_only=True)
class Text:
    """A document: the number of its part, the file that holds it, and what it says."""

    part: int
    file: str
    text: str


@dataclass
class Skipped:
    """What reading left out or changed, counted while it goes on."""

    files: dict[str, str] = field(default_factory=dict)
    num_empty: int = 0
    num_line_ends: int = 0  # CRLF that became LF


def parse_mixture(spec: str) -> list[Part]:
    """The parts of a mixture. Raises SettingError for weights that are not positive or not whole.

    Either every part has a weight or none has. A comma before `key=value` belongs to a part.
    Source: ours. Oracle: tests/data/test_mixtures.py::test_specs
    """
    parts: list[Part] = []
    for one in re.split(r",(?![A-Za-z_]+=)", spec):
        name, colon, tail = one.strip().rpartition(":")
        weight = _number(tail) if colon else None
        parts.append(Part(spec=one.strip() if weight is None else name, weight=weight))
    if any(not part.spec for part in parts):
        raise SettingError("corpus", spec, "must name a source", remedy="Write FILE or FILE:WEIGHT")
    weights = [part.weight for part in parts]
    if any(weight is not None and not 0 < weight < math.inf for weight in weights):
        rule, remedy = "must have positive weights", "Leave the part out instead"
        raise SettingError("corpus", spec, rule, remedy=remedy)
    if None in weights and any(weight is not None for weight in weights):
        rule, remedy = "must give every part a weight, or none", "Write a.txt:0.7,b.txt:0.3"
        raise SettingError("corpus", spec, rule, remedy=remedy)
    return parts


def mixture_key(parts: Sequence[Part], reading: Reading) -> str:
    """Hash of what the mixture reads: contents and names of files, never times.

    Raises what reading raises for files and corpora that are not there.
    Source: ours. Oracle: tests/data/test_mixtures.py::test_key_is_that_of_the_content
    """
    found: list[Any] = [reading]
    for part in parts:
        files = _files(part)
        if files is None:
            texts = [(d.name, d.read()) for d in parse_corpus(part.spec).documents()]
            found.append([part, content_hash(texts)])
        else:
            found.append([part, [(_name(part, path), remembered_hash(path)) for path in files]])
    return content_hash(found)


def read_mixture(
    parts: Sequence[Part], reading: Reading, skipped: Skipped | None = None
) -> Iterator[Text]:
    """Every document of every part that says something, always in the same order.

    Text is UTF-8; CRLF becomes LF, which `skipped` counts. Memory holds a document at a time, or a
    block of rows.
    Raises InputError, with file and byte, for what is no text; what `parse_corpus` raises.
    Source: ours. Oracle: tests/data/test_mixtures.py::test_folder_of_every_kind
    """
    skipped = Skipped() if skipped is None else skipped
    for number, part in enumerate(parts):
        for file, text in _part_texts(part, reading, skipped):
            if not text.strip():
                skipped.num_empty += 1
                continue
            yield Text(part=number, file=file, text=text)


def _part_texts(part: Part, reading: Reading, skipped: Skipped) -> Iterator[tuple[str, str]]:
    files = _files(part)
    if files is None:
        for document in parse_corpus(part.spec).documents():
            yield document.name, document.read()
        return
    for path in files:
        name = _name(part, path)
        try:
            if path.name.endswith(ROWS):
                texts = _rows(path, reading.column)
            else:
                texts = plain_documents(path, _unit(path, reading.units), skipped)
            for text in texts:
                yield name, text
        except InputError as error:
            if not reading.skip_bad_files:
                raise
            skipped.files[name] = str(error)


def _files(part: Part) -> list[Path] | None:
    """The files of a part that is a path; None for a corpus."""
    path = Path(part.spec)
    if not path.exists():
        if any(c in part.spec for c in "/\\.") and ":" not in part.spec:
            remedy = nearest_paths(path)
            raise MissingFileError("corpus", part.spec, "does not exist", remedy=remedy)
        return None
    return _below(path, part.spec)


def _below(path: Path, spec: str) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise MissingFileError("corpus", spec, "does not exist", remedy=nearest_paths(path))
    return text_files(path)


def _name(part: Part, path: Path) -> str:
    root = Path(part.spec)
    return path.relative_to(root).as_posix() if root.is_dir() else path.name


def _unit(path: Path, units: Units) -> Literal["file", "paragraphs", "lines"]:
    if units != "auto":
        return units
    return "paragraphs" if path.suffix in PROSE else "file"


def _rows(path: Path, column: str) -> Iterator[str]:
    for number, row in enumerate(_each_row(path, column), start=1):
        text = row.get(column)
        if not isinstance(text, str):
            rule, remedy = f"must contain text in {column!r}", f"Columns: {', '.join(row)}"
            raise InputError(f"{path}:row {number}", type(text).__name__, rule, remedy=remedy)
        yield text


def _each_row(path: Path, column: str) -> Iterator[dict[str, Any]]:
    """Rows without the whole file in memory, where its format allows that."""
    if path.name.endswith(".jsonl"):
        with path.open("rb") as file:
            yield from parse_lines(file, path)
    elif path.name.endswith(".jsonl.gz"):
        try:
            with gzip.open(path, "rb") as file:
                yield from parse_lines(file, path)
        except (gzip.BadGzipFile, EOFError) as error:
            rule, remedy = "must be a complete gzip file", "Fetch or write it again"
            raise InputError(str(path), str(error), rule, remedy=remedy) from error
    elif path.name.endswith(".parquet"):
        yield from _parquet_rows(path, column)
    else:
        yield from read_records(path)


def _parquet_rows(path: Path, column: str) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        wanted = [column] if column in file.schema_arrow.names else None
        for batch in file.iter_batches(columns=wanted):
            yield from batch.to_pylist()
    except pa.ArrowInvalid as error:
        got, remedy = str(error).splitlines()[0], "Fetch or write it again"
        raise InputError(str(path), got, "must be a Parquet file", remedy=remedy) from error


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
