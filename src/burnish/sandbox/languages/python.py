"""Python, as CPython runs it."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from burnish.sandbox.job import Limits
from burnish.sandbox.languages import languages
from burnish.sandbox.languages.language import (
    Language,
    MissingToolChain,
    Packages,
    ToolChain,
    find_program,
    program_version,
)

USER_BASE = "PYTHONUSERBASE"


@languages.register("python")
@dataclass(frozen=True, kw_only=True)
class Python(Language):
    """CPython; `interpreter` names another one than that which runs burnish."""

    title: ClassVar[str] = "Python"
    file_name: ClassVar[str] = "main.py"
    extensions: ClassVar[tuple[str, ...]] = (".py",)
    aliases: ClassVar[tuple[str, ...]] = ("py", "python3", "cpython")
    package: ClassVar[str] = "python3 (apt-get install python3)"
    shebangs: ClassVar[tuple[str, ...]] = ("python", "python3", "python2", "pypy", "pypy3")
    grammar: ClassVar[str] = "tree_sitter_python:language"
    memory_errors: ClassVar[tuple[str, ...]] = ("MemoryError",)

    interpreter: str = ""

    def find(self) -> ToolChain | MissingToolChain:
        """The interpreter that runs burnish, with its standard library."""
        if self.interpreter:
            program = find_program(self.interpreter)
            if program is None or not (version := program_version(program)):
                return self._missing(self.interpreter)
            program = program.resolve()
            roots = (program.parent.parent,)
        else:
            # The base interpreter, not the virtual environment: its packages are not the user's.
            program = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
            version, roots = f"Python {sys.version.split()[0]}", (Path(sys.base_prefix),)
        outside = tuple(root for root in roots if not root.is_relative_to("/usr"))
        return ToolChain(programs={"run": program}, version=version, read_only=outside)

    def check_command(self, chain: ToolChain, source: str) -> tuple[str, ...]:
        """Compile without running."""
        code = "import sys; compile(open(sys.argv[1], 'rb').read(), sys.argv[1], 'exec')"
        return (str(chain.programs["run"]), "-I", "-c", code, source)

    def run_command(self, chain: ToolChain, source: str, limits: Limits) -> tuple[str, ...]:
        """Unbuffered bytes are not asked for: what a crash loses, it loses elsewhere too."""
        return (str(chain.programs["run"]), source)

    def packages(self, chain: ToolChain, folders: tuple[Path, ...]) -> Packages:
        """Behind the standard library, `.pth` files included: as a site of the user."""
        mounts = {f"/packages/{i}": folder for i, folder in enumerate(folders)}
        number = re.search(r"(\d+)\.(\d+)", chain.version)
        version = ".".join(number.groups()) if number else ""
        lines = "".join(f"import site; site.addsitedir({m!r})\n" for m in mounts)
        site = {f".user/lib/python{version}/site-packages/packages.pth": lines.encode()}
        return Packages(mounts=mounts, env={USER_BASE: "/work/.user"}, files=site)

    def env(self, limits: Limits) -> dict[str, str]:
        """Same hashes in every run, UTF-8 everywhere, no bytecode in the work folder."""
        return {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"}
