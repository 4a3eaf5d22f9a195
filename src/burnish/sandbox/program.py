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
from dataclasses import dataclass
from pathlib import Path

from burnish.base.canonical import dump_json
from burnish.models.cache import cache_folder
from burnish.sandbox.job import Job, Limits, Outcome
from burnish.sandbox.languages import languages
from burnish.sandbox.languages.language import Language, MissingToolChain, ToolChain
from burnish.sandbox.run import run_job

MAX_PROGRAMS = 2048
UNUSED_S = 600.0  # a program that was used since then is never removed


@dataclass(frozen=True, kw_only=True)
class Program:
    """Code that is ready to run; `folder` holds what the compiler left (None: interpreted)."""

    language: Language
    chain: ToolChain
    code: str
    source: str
    folder: Path | None


def prepare(
    code: str, language: Language, *, isolation: str = "auto", deadline_s: float = math.inf
) -> Program | MissingToolChain | Outcome:
    """Compile `code`, or find it in the cache; an Outcome is that of a compiler that failed.

    The compiler has its language's limits, but no more time than `deadline_s`.
    The key of the cache is the content of all that decides: code, language with its settings,
    command, and the version that the tool chain says of itself.
    Source: ours. Oracle: tests/sandbox/test_program.py::test_the_cache_knows_what_decides
    """
    chain = find_chain(language)
    if isinstance(chain, MissingToolChain):
        return chain
    source = language.source_name(code)
    command = language.compile_command(chain, source)
    if command is None:
        return Program(language=language, chain=chain, code=code, source=source, folder=None)
    name = languages.name_of(language)
    parts = [name, languages.spec(language), chain.version, list(command), code]
    key = hashlib.sha256(dump_json(parts, name="program").encode("utf-8", "replace")).hexdigest()
    folder = cache_folder() / "sandbox" / "programs" / key[:32]
    if not folder.is_dir():
        limits = raised(language.compile_limits, language)
        cpu_s, wall_s = min(limits.cpu_s, deadline_s), min(limits.wall_s, deadline_s)
        limits = dataclasses.replace(limits, cpu_s=cpu_s, wall_s=wall_s)
        outcome = _compile(code, language, chain, limits=limits, folder=folder, isolation=isolation)
        if not outcome.ok:
            return outcome
    with contextlib.suppress(OSError):
        os.utime(folder)
    return Program(language=language, chain=chain, code=code, source=source, folder=folder)


@functools.cache
def find_chain(language: Language) -> ToolChain | MissingToolChain:
    """The language's tool chain; looked for once per process."""
    return language.find()


def job_of(program: Program, *, stdin: bytes = b"", limits: Limits | None = None) -> Job:
    """The job that runs a program once; limits are raised to the language's floor."""
    language, chain = program.language, program.chain
    limits = raised(limits or Limits(), language)
    compiled = program.folder is not None
    return Job(
        argv=language.run_command(chain, program.source, limits),
        files={} if compiled else {program.source: encode(program.code)},
        stdin=stdin,
        env={**chain.env, **language.env(limits)},
        limits=limits,
        read_only=chain.read_only,
        mounts={"/program": program.folder} if program.folder else {},
        data_limit=language.floor.data,
    )


def check_job(program: Program) -> Job | None:
    """The job that fails if and only if the code is no program; None: the language has none."""
    command = program.language.check_command(program.chain, program.source)
    if command is None or program.folder is not None:
        return None
    job = job_of(program, limits=program.language.compile_limits)
    return dataclasses.replace(job, argv=command)


def raised(limits: Limits, language: Language) -> Limits:
    """Limits that the language's runtime can start under."""
    floor = language.floor
    return dataclasses.replace(
        limits,
        memory_bytes=max(limits.memory_bytes, floor.memory_bytes),
        num_processes=max(limits.num_processes, floor.num_processes),
        num_files=max(limits.num_files, floor.num_files),
    )


def encode(code: str) -> bytes:
    """Source as bytes; what no UTF-8 can say (half a surrogate) becomes a question mark."""
    return code.encode("utf-8", "replace")


def _compile(
    code: str, language: Language, chain: ToolChain, *, limits: Limits, folder: Path, isolation: str
) -> Outcome:
    source = language.source_name(code)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".compiling-") as temporary:
        kept = Path(temporary) / "kept"
        kept.mkdir(mode=0o755)
        job = Job(
            argv=language.compile_command(chain, source) or (),
            files={source: encode(code)},
            env={**chain.env, **language.env(limits)},
            limits=limits,
            read_only=chain.read_only,
            keep=kept,
            data_limit=language.floor.data,
        )
        outcome = run_job(job, isolation=isolation)
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
