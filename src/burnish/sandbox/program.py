"""From code to jobs: a program is prepared (compiled) once, and then run as often as asked."""

import contextlib
import dataclasses
import functools
import hashlib
import math
import os
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from burnish.base.canonical import dump_json
from burnish.base.errors import InputError
from burnish.models.cache import cache_folder
from burnish.sandbox.job import Job, Limits, Outcome
from burnish.sandbox.languages import languages
from burnish.sandbox.languages.language import Language, MissingToolChain, Packages, ToolChain
from burnish.sandbox.running import run_job

MAX_PROGRAMS = 2048
NO_PROGRAM = b"the compiler made no program of it"
PROGRAM = "/program"  # where a run finds what the compiler left
UNUSED_S = 600.0  # a program that was used since then is never removed


@dataclass(frozen=True, kw_only=True)
class Program:
    """Code that is ready to run; `folder` holds what the compiler left (None: interpreted).

    `loaded`: asserts stand behind the code, which must not count as the main program.
    """

    language: Language
    chain: ToolChain
    code: str
    source: str
    folder: Path | None
    packages: Packages = field(default_factory=Packages)
    loaded: bool = False


def prepare(
    code: str,
    language: Language,
    *,
    isolation: str = "auto",
    deadline_s: float = math.inf,
    packages: tuple[Path, ...] = (),
) -> Program | MissingToolChain | Outcome:
    """Compile `code`, or find it in the cache; returns the compiler's Outcome if it failed.

    The compiler has its language's limits, but no more time than `deadline_s`. `packages` are
    folders of third-party packages that the program sees read-only.
    Raises: InputError, for packages of a language that finds none by folders.
    The key of the cache is the content of all that decides: code, language with its settings,
    command, and the version that the tool chain says of itself.
    Source: ours. Oracle: tests/sandbox/test_program.py::test_the_cache_knows_what_decides
    """
    chain = find_chain(language)
    if isinstance(chain, MissingToolChain):
        return chain
    code = language.completed(without_mark(code))
    source = language.source_name(code)
    command = language.compile_command(chain, source)
    given = shown_packages(language, chain, packages)
    if command is None:
        return Program(
            language=language, chain=chain, code=code, source=source, folder=None, packages=given
        )
    name = languages.name_of(language)
    parts = [name, languages.spec(language), chain.version, list(command), code]
    parts += [f"{path} {path.stat().st_mtime_ns}" for path in packages]
    key = hashlib.sha256(dump_json(parts, name="program").encode("utf-8", "replace")).hexdigest()
    folder = cache_folder() / "sandbox" / "programs" / key[:32]
    if not folder.is_dir():
        limits = raised(language.compile_limits, language)
        cpu_s, wall_s = min(limits.cpu_s, deadline_s), min(limits.wall_s, deadline_s)
        limits = dataclasses.replace(limits, cpu_s=cpu_s, wall_s=wall_s)
        job = _compile_job(code, language, chain, limits=limits, packages=given)
        first = language.run_command(chain, source, limits)[0]
        made = first.removeprefix(f"{PROGRAM}/") if first.startswith(PROGRAM) else ""
        outcome = _compile(job, folder=folder, made=made, isolation=isolation)
        if not outcome.ok:
            return outcome
    with contextlib.suppress(OSError):
        os.utime(folder)
    return Program(
        language=language, chain=chain, code=code, source=source, folder=folder, packages=given
    )


@functools.cache
def find_chain(language: Language) -> ToolChain | MissingToolChain:
    """The language's tool chain, looked up once per process."""
    return language.find()


def job_of(program: Program, *, stdin: bytes = b"", limits: Limits | None = None) -> Job:
    """The job that runs a program once; limits are raised to the language's floor."""
    language, chain = program.language, program.chain
    limits = raised(limits or Limits(), language)
    compiled, packages = program.folder is not None, program.packages
    source = {} if compiled else {program.source: encode(program.code)}
    command = language.load_command if program.loaded else language.run_command
    return Job(
        argv=command(chain, program.source, limits),
        files={**packages.files, **source},
        stdin=stdin,
        env={**chain.env, **language.env(limits), **packages.env},
        limits=limits,
        read_only=chain.read_only,
        mounts={**packages.mounts, **({PROGRAM: program.folder} if program.folder else {})},
        data_limit=language.floor.data,
    )


def check_job(program: Program) -> Job | None:
    """The job that fails exactly if the code is no program; None if there is no such check."""
    command = program.language.check_command(program.chain, program.source)
    if command is None or program.folder is not None:
        return None
    job = job_of(program, limits=program.language.compile_limits)
    return dataclasses.replace(job, argv=command)


def raised(limits: Limits, language: Language) -> Limits:
    """Limits raised to what the language's runtime needs to start."""
    floor = language.floor
    return dataclasses.replace(
        limits,
        memory_bytes=max(limits.memory_bytes, floor.memory_bytes),
        num_processes=max(limits.num_processes, floor.num_processes),
        num_files=max(limits.num_files, floor.num_files),
    )


def encode(code: str) -> bytes:
    """Source as UTF-8; a lone surrogate becomes a question mark."""
    return code.encode("utf-8", "replace")


def without_mark(code: str) -> str:
    """Code without the byte order mark that some editors write."""
    return code.removeprefix("\ufeff")


def shown_packages(language: Language, chain: ToolChain, folders: tuple[Path, ...]) -> Packages:
    """How a language finds third-party packages. Raises: InputError."""
    if not folders:
        return Packages()
    for folder in folders:
        if not folder.is_dir():
            rule, remedy = "must be a folder", "Name a site-packages, node_modules or library"
            raise InputError("packages", str(folder), rule, remedy=remedy)
    found = language.packages(chain, tuple(folder.resolve() for folder in folders))
    if found is None:
        rule, remedy = f"are not supported for {language.title}", "Leave them out"
        raise InputError("packages", [str(f) for f in folders], rule, remedy=remedy)
    return found


def _compile_job(
    code: str, language: Language, chain: ToolChain, *, limits: Limits, packages: Packages
) -> Job:
    source = language.source_name(code)
    return Job(
        argv=language.compile_command(chain, source) or (),
        files={source: encode(code)},
        env={**chain.env, **language.env(limits), **packages.env},
        limits=limits,
        read_only=chain.read_only,
        mounts=packages.mounts,
        data_limit=language.floor.data,
    )


def _compile(job: Job, *, folder: Path, made: str, isolation: str) -> Outcome:
    """Run the compiler and keep what it left; `made` is the program that must be there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".compiling-") as temporary:
        kept = Path(temporary) / "kept"
        kept.mkdir(mode=0o755)
        outcome = run_job(dataclasses.replace(job, keep=kept), isolation=isolation)
        if outcome.ok and made and not os.access(kept / made, os.X_OK):  # a library, by its code
            return dataclasses.replace(outcome, exit_code=1, stderr=NO_PROGRAM)
        if outcome.ok:
            with contextlib.suppress(OSError):  # another worker was first: its result is the same
                os.rename(kept, folder)
            _prune(folder.parent)
    return outcome


def _prune(programs: Path) -> None:
    """Remove the programs that were unused longest, where there are too many."""
    with os.scandir(programs) as entries:
        found = [e for e in entries if not e.name.startswith(".")]
        if len(found) <= MAX_PROGRAMS:
            return
        ages = sorted((e.stat().st_mtime, e.path) for e in found)
    limit = time.time() - UNUSED_S
    for used, path in ages[: len(ages) // 4]:
        if used < limit:
            shutil.rmtree(path, ignore_errors=True)
