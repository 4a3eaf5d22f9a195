"""Files as one text, in which every character knows its file and line or page."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnish.base.errors import InputError, MissingExtraError, MissingFileError
from burnish.base.files import nearest_paths
from burnish.base.runs import files_outside_runs

BETWEEN = "\n\n"
SKIPPED = {".git", "__pycache__", "node_modules", ".venv"}
PAGE_BREAK = "\f"
INDEX_FILES = ("state-*.safetensors", "text-*.txt", "tokens-*.npz", "layer-*.kv")


@dataclass(frozen=True, kw_only=True)
class Part:
    """A file's characters in the text: `first` up to, not including, `end`."""

    name: str
    first: int
    end: int
    pages: bool = False


@dataclass(frozen=True, kw_only=True)
class Document:
    """One text made of parts, in order."""

    text: str
    parts: tuple[Part, ...]

    def text_of(self, part: Part) -> str:
        """The characters of a part."""
        return self.text[part.first : part.end]

    def place(self, at: int) -> dict[str, Any]:
        """File and line (or page) of a character; lines and pages count from 1.

        Source: ours. Oracle: tests/stream/test_document.py::test_places
        """
        part = self.parts[max(0, bisect_right([p.first for p in self.parts], at) - 1)]
        inside = self.text[part.first : max(part.first, min(at, part.end))]
        unit, mark = ("page", PAGE_BREAK) if part.pages else ("line", "\n")
        return {"file": part.name, unit: inside.count(mark) + 1}

    def joined(self, more: "Document") -> "Document":
        """This text followed by another one."""
        shift = len(self.text) + len(BETWEEN)
        moved = (
            Part(name=p.name, first=p.first + shift, end=p.end + shift, pages=p.pages)
            for p in more.parts
        )
        return Document(text=self.text + BETWEEN + more.text, parts=(*self.parts, *moved))

    def to_dict(self) -> list[tuple[str, int, int, bool]]:
        """The parts, as JSON."""
        return [(p.name, p.first, p.end, p.pages) for p in self.parts]

    @classmethod
    def from_dict(cls, text: str, parts: Sequence[Sequence[Any]]) -> "Document":
        """The inverse of `to_dict`, given the text."""
        made = (Part(name=n, first=f, end=e, pages=p) for n, f, e, p in parts)
        return cls(text=text, parts=tuple(made))


def read_documents(paths: Sequence[Path]) -> Document:
    """Text, Markdown and source files, PDFs, and all such files of folders, as one text.

    Indexes and runs inside of folders are left out.
    Raises MissingFileError; InputError for a file that is no UTF-8 (with the byte), holds a zero
    byte or is empty; MissingExtraError for a PDF without pypdf.
    """
    found: Document | None = None
    for path in [file for given in paths for file in _files(given)]:
        text, pages = (_pdf_text(path), True) if path.suffix == ".pdf" else (_text(path), False)
        part = Part(name=str(path), first=0, end=len(text), pages=pages)
        one = Document(text=text, parts=(part,))
        found = one if found is None else found.joined(one)
    if found is None or not found.text.strip():
        names = ", ".join(map(str, paths))
        raise InputError("text", names, "must not be empty", remedy="Name a file with some words")
    return found


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise MissingFileError("file", str(path), "does not exist", remedy=nearest_paths(path))
    below = files_outside_runs(path)
    visible = [p for p in below if not SKIPPED & {*p.relative_to(path).parts}]
    indexes = {p.parent for p in visible if p.suffix == ".npz" and is_index(p.parent)}
    visible = [p for p in visible if not indexes & {*p.parents}]
    return [p for p in visible if p.suffix == ".pdf" or _is_text(p)]


def is_index(folder: Path) -> bool:
    """Whether a folder holds an index, or files of one that was begun."""
    return any(path for pattern in INDEX_FILES for path in folder.glob(pattern))


def _is_text(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return b"\0" not in file.read(4096)
    except OSError:
        return False


def _text(path: Path) -> str:
    body = path.read_bytes()
    remedy = "Convert it, for example with iconv"
    if b"\0" in body:
        at, rule = body.index(b"\0"), "must be text in UTF-8"
        got = f"a zero byte at {at}"
        raise InputError(str(path), got, rule, remedy=remedy)
    try:
        text = body.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        got, rule = body[error.start : error.start + 8], f"must be UTF-8 (byte {error.start})"
        raise InputError(str(path), got, rule, remedy=remedy) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _pdf_text(path: Path) -> str:
    try:
        from pypdf import PdfReader
        from pypdf.errors import PyPdfError
    except ImportError as error:
        rule, remedy = "needs the package pypdf", 'Install it: pip install "burnish[pdf]"'
        raise MissingExtraError("PDF", str(path), rule, remedy=remedy) from error
    try:
        return PAGE_BREAK.join(page.extract_text() for page in PdfReader(path).pages)
    except PyPdfError as error:
        rule = f"cannot be read as PDF ({error})"
        raise InputError("file", str(path), rule, remedy="Convert it to text") from error
