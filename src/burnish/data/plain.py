"""Plain text files as documents: checked to be text, and read without the whole in memory."""

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from burnish.base.errors import InputError

BLOCK_BYTES = 1 << 20


def plain_documents(
    path: Path, unit: Literal["file", "paragraphs", "lines"], skipped: Any
) -> Iterator[str]:
    """The documents of a text file: the whole, parts between blank lines, or lines.

    CRLF becomes LF and is counted in `skipped.num_line_ends`.
    Raises InputError, with the byte, for a file that is not UTF-8 text.
    Source: ours. Oracle: tests/data/test_mixtures.py::test_crlf_and_empty_documents
    """
    check_text(path)
    if unit == "file":
        text = path.read_bytes().decode("utf-8-sig")
        skipped.num_line_ends += text.count("\r\n")
        yield text.replace("\r\n", "\n")
        return
    lines: list[str] = []
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        for line in file:
            skipped.num_line_ends += line.endswith("\r\n")
            line = line.removesuffix("\n").removesuffix("\r")
            if unit == "lines":
                yield line
            elif line.strip():
                lines.append(line)
            elif lines:
                yield "\n".join(lines)
                lines = []
    if lines:
        yield "\n".join(lines)


def check_text(path: Path) -> None:
    """Raise InputError, naming the byte, unless a file is UTF-8 without NUL.

    Source: ours. Oracle: tests/data/test_mixtures.py::test_a_binary_file_is_refused
    """
    decoder, begin = codecs.getincrementaldecoder("utf-8")(), 0
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            nul = block.find(b"\0")
            if nul >= 0:
                _refuse(path, begin + nul, "holds a NUL byte")
            pending = len(decoder.getstate()[0])
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                _refuse(path, begin - pending + error.start, "is not UTF-8")
            begin += len(block)
    if left := decoder.getstate()[0]:
        _refuse(path, begin - len(left), "ends inside a character of UTF-8")


def _refuse(path: Path, offset: int, rule: str) -> None:
    remedy = "Convert or remove it, or leave such files out with --set skip_bad_files=true"
    raise InputError(f"text file {path}", f"byte {offset}", rule, remedy=remedy)
