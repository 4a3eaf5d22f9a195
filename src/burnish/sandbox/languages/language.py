"""The contract of a language: one small file says how its tool chain is found and called."""

import abc
import functools
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

from burnish.sandbox.job import MIB, Limits

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
VERSION_TIMEOUT_S = 30.0


@dataclass(frozen=True, kw_only=True)
class ToolChain:
    """The programs of a language as this machine has them.

    `programs` maps roles ("compile", "run") to absolute paths. `version` is what the programs
    say of themselves; it is part of the key of the compile cache. `read_only` are the paths
    outside /usr that must stay visible in the sandbox.
    """

    programs: Mapping[str, Path]
    version: str
    read_only: tuple[Path, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class MissingToolChain:
    """A language that this machine cannot run, and the remedy."""

    language: str
    program: str
    package: str

    @property
    def reason(self) -> str:
        """The reason in one sentence."""
        return f"{self.language} needs {self.program!r}, which is not here. Install {self.package}"


@dataclass(frozen=True, kw_only=True)
class Packages:
    """Third-party packages as a job sees them: mounted folders, environment, files beside it."""

    mounts: Mapping[str, Path] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Floor:
    """What the runtime itself needs before the first line of a program; limits are raised to it.

    `data` says whether the memory limit may also be set as RLIMIT_DATA of each process.
    """

    memory_bytes: int = 0
    num_processes: int = 0
    num_files: int = 0
    data: bool = True


@dataclass(frozen=True, kw_only=True)
class Language(abc.ABC):
    """A language. Subclasses are registered by name; their fields are settings of the spec.

    The program is in `file_name` inside the work folder. Where `compile_command` returns a
    command, it runs once in a work folder with the source, and what it leaves there is mounted
    read-only at /program for each run; otherwise the source itself is in the work folder.
    `memory_errors` are texts on stderr by which the runtime reports that memory ran out, so that
    this can be told apart from any other exit code of 1. A language that `extends` another has
    `own_nodes`: nodes of its grammar that hardly a program of that other language has.
    `packages_variable` is the variable of the environment that lists folders of libraries.
    `last_words` is the line that writes `{nonce}` to descriptor 3 behind the last assert, and
    `restored` a line before the first one, which undoes what the code did to what asserts use.
    """

    title: ClassVar[str]
    file_name: ClassVar[str]
    extensions: ClassVar[tuple[str, ...]]
    package: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    shebangs: ClassVar[tuple[str, ...]] = ()
    grammar: ClassVar[str] = ""
    extends: ClassVar[str] = ""
    own_nodes: ClassVar[tuple[str, ...]] = ()
    packages_variable: ClassVar[str] = ""
    last_words: ClassVar[str] = ""
    restored: ClassVar[str] = ""
    floor: ClassVar[Floor] = Floor()
    memory_errors: ClassVar[tuple[str, ...]] = ()
    compile_limits: ClassVar[Limits] = Limits(
        cpu_s=30, wall_s=60, memory_bytes=1024 * MIB, num_processes=64, disk_bytes=256 * MIB
    )

    @abc.abstractmethod
    def find(self) -> ToolChain | MissingToolChain:
        """Find the tool chain; a missing one is a value, not an error."""

    def source_name(self, code: str) -> str:
        """The name that the source file must have; Java derives it from the code."""
        return self.file_name

    def completed(self, code: str) -> str:
        """The code as the tool chain takes it; PHP needs an opening tag."""
        return code

    def with_asserts(self, code: str, asserts: str) -> str:
        """The code with a script of asserts behind it: a main guard holds in the asserts alone."""
        lines = (self.main_again, self.restored, asserts)
        return self.joined(code, "\n".join(line for line in lines if line))

    def ended(self, asserts: str, nonce: str) -> str | None:
        """The asserts with a nonce that only their last line says; None: they cannot say it.

        Source: ours. Oracle: tests/sandbox/test_behind.py::test_an_early_exit_is_no_success
        """
        if not self.last_words:
            return None
        return self.joined(asserts, self.last_words.replace("{nonce}", nonce))

    @property
    def main_again(self) -> str:
        """A line behind which a file that `load_command` loads counts as the main program."""
        return ""

    def joined(self, code: str, asserts: str) -> str:
        """The code followed by asserts, in one file."""
        return f"{code}\n{asserts}"

    def for_asserts(self, asserts: str) -> Self:
        """The language with what a script of asserts needs set."""
        return self

    def packages(self, chain: ToolChain, folders: tuple[Path, ...]) -> Packages | None:
        """How a program finds third-party packages in folders; None if it cannot."""
        if not self.packages_variable:
            return None
        mounts = {f"/packages/{i}": folder for i, folder in enumerate(folders)}
        return Packages(mounts=mounts, env={self.packages_variable: os.pathsep.join(mounts)})

    def check_command(self, chain: ToolChain, source: str) -> tuple[str, ...] | None:
        """The command that fails if and only if `source` is no program of the language.

        Only asked for where nothing is compiled, and only after a run that failed.
        """
        return None

    def compile_command(self, chain: ToolChain, source: str) -> tuple[str, ...] | None:
        """The command that compiles `source` in the work folder; None: nothing to compile."""
        return None

    @abc.abstractmethod
    def run_command(self, chain: ToolChain, source: str, limits: Limits) -> tuple[str, ...]:
        """The command that runs the program; the working folder is the work folder."""

    def load_command(self, chain: ToolChain, source: str, limits: Limits) -> tuple[str, ...]:
        """The command that runs code with asserts behind it; the code is not the main program.

        So what stands under a main guard in it does not run. By default, as `run_command`.
        """
        return self.run_command(chain, source, limits)

    def env(self, limits: Limits) -> Mapping[str, str]:
        """Extra environment variables for compiling and running."""
        return {}

    def _interpreter(
        self, *names: str, version: tuple[str, ...] = (), read_only: tuple[Path, ...] = ()
    ) -> ToolChain | MissingToolChain:
        """The tool chain that is one program, the first of `names` that is there."""
        program = find_program(*names)
        if program is None or not (told := program_version(program, *version)):
            return self._missing(names[0])
        outside = (*outside_usr(program), *read_only)
        return ToolChain(programs={"run": program}, version=told, read_only=outside)

    def _missing(self, program: str) -> MissingToolChain:
        return MissingToolChain(language=self.title, program=program, package=self.package)


def find_program(*names: str) -> Path | None:
    """The first of `names` on PATH, where Debian puts programs, or beside this interpreter.

    Wheels with programs leave them beside the interpreter. Links are left as they are.
    """
    path = os.pathsep.join(
        [os.environ.get("PATH", ""), SYSTEM_PATH, str(Path(sys.executable).parent)]
    )
    for name in names:
        if found := shutil.which(name, path=path):
            return Path(found)
    return None


def find_wheel_program(module: str, path: str) -> Path | None:
    """The program at `path` inside an installed package, without importing it; None: absent."""
    found = importlib.util.find_spec(module)
    folders = (found.submodule_search_locations or []) if found else []
    return next((Path(folder) / path for folder in folders if (Path(folder) / path).exists()), None)


def outside_usr(program: Path) -> tuple[Path, ...]:
    """The installation that `program`, or a folder `bin`, belongs to, where that is not /usr.

    It is the parent of `bin`, and has to be made visible in the sandbox.
    """
    program = program.resolve()
    folder = program if program.is_dir() else program.parent
    root = folder.parent if folder.name == "bin" else folder
    system = (Path("/usr"), Path("/bin"), Path("/lib"))
    return () if any(root.is_relative_to(path) for path in system) else (root,)


@functools.cache
def program_version(program: Path, *arguments: str) -> str:
    """The first line that `program --version` (or `arguments`) prints; empty if it fails."""
    command = [str(program), *(arguments or ("--version",))]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=VERSION_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = [x.strip() for x in (done.stdout + done.stderr).splitlines() if x.strip()]
    return lines[0] if lines and done.returncode == 0 else ""
