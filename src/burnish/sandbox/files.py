"""Programs in files, and `burnish sandbox detect` on them."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from burnish.base.errors import InputError
from burnish.base.files import existing_file
from burnish.sandbox.detection import detect


def read_program(path: Path) -> str:
    """The text of a source file, `-` for standard input; what is no UTF-8 is replaced.

    Raises: MissingFileError; InputError, for what is no text at all.
    """
    code = _read(path)
    if "\0" in code:
        raise InputError(str(path), code[:16], "must be text", remedy="Name a source file")
    return code


def detect_files(paths: Sequence[Path], *, content_only: bool = False) -> list[dict[str, Any]]:
    """Path, language (None if unclear) and confidence of each file.

    A file without text has no language, and the row has the `reason`: the others still count.
    Raises: MissingFileError.
    """
    return [_detect_file(path, content_only=content_only) for path in paths]


def _detect_file(path: Path, *, content_only: bool) -> dict[str, Any]:
    code = _read(path)
    row = {"path": str(path), "language": None, "confidence": 0.0, "candidates": []}
    if not code.strip() or "\0" in code:
        return row | {"reason": "it holds bytes, no text" if "\0" in code else "it is empty"}
    found = detect(code, None if content_only or str(path) == "-" else path)
    row |= {"language": found.language, "confidence": found.confidence}
    row["candidates"] = [{"language": n, "confidence": p} for n, p in found.candidates[:3]]
    return row | {"reason": "" if found.language else "no language is likely enough"}


def _read(path: Path) -> str:
    stream = sys.stdin.buffer if str(path) == "-" else None
    content = stream.read() if stream else existing_file(path).read_bytes()
    return content.decode("utf-8", errors="replace")
