"""`stdlib`: the source code of Python's standard library, which is always there."""

import functools
import os
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from burnish.data.corpora import Document, corpora

LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "__pycache__"}
LEAST_BYTES = 2000


@corpora.register("stdlib")
@dataclass(frozen=True, kw_only=True)
class StandardLibrary:
    """Modules of this Python, without its tests and what was installed into it.

    Another version of Python has another library: results name the version.
    Source: ours. Oracle: tests/data/test_corpora.py::test_stdlib_holds_modules
    """

    def documents(self) -> Sequence[Document]:
        """Every module of at least 2 kB, by path."""
        root = Path(sysconfig.get_path("stdlib"))
        paths = _modules(root)
        names = [path.relative_to(root).as_posix() for path in paths]
        return [
            Document(name=name, read=lambda path=path: path.read_text("utf-8", "replace"))
            for name, path in zip(names, paths, strict=True)
        ]


@functools.cache
def _modules(root: Path) -> tuple[Path, ...]:
    """Paths of the modules, in order. Folders that are left out are not entered."""
    found = []
    for folder, inside, files in os.walk(root):
        inside[:] = [name for name in inside if name not in LEFT_OUT]
        found += [Path(folder, name) for name in files if name.endswith(".py")]
    return tuple(path for path in sorted(found) if path.stat().st_size >= LEAST_BYTES)
