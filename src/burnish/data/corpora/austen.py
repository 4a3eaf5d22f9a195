"""`austen`: Jane Austen's six novels, from Debian's package `r-cran-janeaustenr`; no R is needed.

Get it with `apt-get install r-cran-janeaustenr`, or unpack it anywhere:
`apt-get download r-cran-janeaustenr && dpkg -x r-cran-janeaustenr_*.deb FOLDER`, then
`austen:path=FOLDER`.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from burnish.base.errors import InputError, MissingFileError
from burnish.data.corpora import Document, corpora

INSTALLED = "/usr/lib/R/site-library/janeaustenr"
FILE = "Rdata.rdb"
STRINGS, STRING = 16, 9  # R's type codes of a character vector and of one of its elements
LEAST_CHARACTERS = 100_000


@corpora.register("austen")
@dataclass(frozen=True, kw_only=True)
class Austen:
    """Each novel is one document: a character vector of lines in R's lazy-load data base.

    Source: MIT package, public-domain text; the format as in "R Internals", section 1.8.
    Oracle: tests/data/test_corpora.py::test_austen_reads_a_planted_data_base
    """

    path: str = INSTALLED

    def documents(self) -> Sequence[Document]:
        """The novels, in the order of the file. Raises MissingFileError, InputError."""
        path = Path(self.path)
        found = sorted(path.rglob(FILE)) if path.is_dir() else [path] if path.is_file() else []
        if not found:
            rule = f"must contain {FILE} of r-cran-janeaustenr"
            remedy = "Run `apt-get install r-cran-janeaustenr`, or write austen:path=FOLDER"
            raise MissingFileError("corpus", self.path, rule, remedy=remedy)
        novels = ["\n".join(lines) for lines in character_vectors(found[0])]
        novels = [novel for novel in novels if len(novel) >= LEAST_CHARACTERS]
        if not novels:
            remedy = "Unpack the package again"
            raise InputError("corpus", str(found[0]), "must contain novels", remedy=remedy)
        return [Document(name=f"austen-{i}", read=lambda t=t: t) for i, t in enumerate(novels)]


def character_vectors(path: Path) -> Iterator[list[str]]:
    """Every character vector of an R data base: chunks of a length, then zlib, then XDR."""
    data = path.read_bytes()
    at = 0
    while at + 4 < len(data):
        unpacker = zlib.decompressobj()
        try:
            chunk = unpacker.decompress(data[at + 4 :])
        except zlib.error as error:
            remedy = "Only zlib-compressed data bases can be read"
            raise InputError(f"{path}:{at}", str(error), "must be zlib", remedy=remedy) from None
        at = len(data) - len(unpacker.unused_data)
        if (lines := _vector(chunk)) is not None:
            yield lines


def _vector(chunk: bytes) -> list[str] | None:
    """The strings of a serialised object, if it is a character vector."""
    if chunk[:2] != b"X\n":
        return None
    at = 14 if struct.unpack_from(">i", chunk, 2)[0] < 3 else 0
    if not at:  # version 3 names its encoding
        at = 18 + struct.unpack_from(">i", chunk, 14)[0]
    kind, length = struct.unpack_from(">ii", chunk, at)
    if kind & 0xFF != STRINGS:
        return None
    lines, at = [], at + 8
    for _ in range(length):
        kind, size = struct.unpack_from(">ii", chunk, at)
        if kind & 0xFF != STRING:
            return None
        lines.append(chunk[at + 8 : at + 8 + max(size, 0)].decode("utf-8", "replace"))
        at += 8 + max(size, 0)
    return lines
