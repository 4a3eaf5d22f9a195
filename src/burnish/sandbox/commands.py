"""The work of the commands `run`, `judge` and `doctor`, callable from Python."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from burnish.base.errors import BurnishError, SettingError
from burnish.base.files import existing_file, read_json, read_text
from burnish.base.settings import load_settings
from burnish.sandbox.backends import backends
from burnish.sandbox.classify import reason_of, status_of
from burnish.sandbox.fair import run_fairly
from burnish.sandbox.job import Job, Limits, Outcome
from burnish.sandbox.judging import judge
from burnish.sandbox.languages import find_language, languages
from burnish.sandbox.languages.language import Language, MissingToolChain
from burnish.sandbox.probe import probe, true_program
from burnish.sandbox.problem import read_problem
from burnish.sandbox.program import find_chain, job_of, prepare
from burnish.sandbox.running import choose_backend, run_job
from burnish.sandbox.verdict import Status


def run_file(
    file: Path,
    *,
    language: str = "",
    stdin: Path | None = None,
    limits: Sequence[str] = (),
    isolation: str = "auto",
) -> dict[str, Any]:
    """Run a source file once: language, status, output, use and attestation.

    Raises: MissingFileError, InputError, SettingError, UnknownNameError, IsolationError.
    """
    code = read_text(file)
    chosen = find_language(language) if language else guess_language(code, file)
    given = load_settings(Limits, base=Limits(), overrides=list(limits))
    content = existing_file(stdin).read_bytes() if stdin else b""
    choose_backend(isolation)
    program = prepare(code, chosen, isolation=isolation)
    if isinstance(program, MissingToolChain):
        return _row(chosen, Status.INFRASTRUCTURE_ERROR, None, program.reason)
    if isinstance(program, Outcome):
        status = Status.INFRASTRUCTURE_ERROR if program.failure else Status.COMPILE_ERROR
        return _row(chosen, status, program, reason_of(program))
    outcome = run_fairly(job_of(program, stdin=content, limits=given), isolation=isolation)
    found = status_of(outcome, program, isolation=isolation)
    return _row(chosen, found or Status.ACCEPTED, outcome, reason_of(outcome))


def judge_file(file: Path, *, num_workers: int = 1, isolation: str = "auto") -> dict[str, Any]:
    """Judge the problem of a JSON file. Raises: as `run_file`."""
    problem = read_problem(read_json(file), name=str(file))
    if not problem.language:
        language = languages.name_of(guess_language(problem.code, None))
        problem = dataclasses.replace(problem, language=language)
    return judge(problem, isolation=isolation, num_workers=num_workers).to_dict()


def guess_language(code: str, file: Path | None) -> Language:
    """The language by the file's name, else by the code. Raises: SettingError, where unsure."""
    if file is not None and file.suffix:
        for name in languages.names():
            if file.suffix.lower() in languages.get(name).extensions:
                return languages.build(name)
    from burnish.sandbox.detection import detect

    found = detect(code, file)
    if found.language is None:
        remedy = f"Name it with --lang; there are {languages.names()}"
        raise SettingError("language", str(file or code[:40]), "is not clear", remedy=remedy)
    return find_language(found.language)


def examine() -> dict[str, Any]:
    """What this machine can do; `strict` says whether `--isolation strict` would run."""
    machine = probe()
    ways = {name: backends.build(name).trouble(machine) for name in backends.names()}
    chains = {name: find_chain(languages.build(name)) for name in languages.names()}
    found = {
        "machine": {
            name: str(value) if isinstance(value, Path) else value
            for name, value in vars(machine).items()
            if name not in {"groups", "trouble"}
        },
        "backends": ways,
        "languages": {
            name: c.reason if isinstance(c, MissingToolChain) else c.version
            for name, c in chains.items()
        },
    }
    for isolation in ("strict", "auto"):
        found[isolation] = _works(isolation)
    best = "auto" if found["auto"] else "none"
    attestation = run_job(Job(argv=(true_program(),)), isolation=best).attestation
    return {**found, "attestation": attestation.to_dict()}


@functools.cache
def _works(isolation: str) -> bool:
    try:
        choose_backend(isolation)
    except BurnishError:
        return False
    return True


def _row(
    language: Language, status: Status, outcome: Outcome | None, reason: str
) -> dict[str, Any]:
    return {
        "language": languages.name_of(language),
        "status": status.value,
        "exit_code": outcome.exit_code if outcome else None,
        "signal": outcome.signal if outcome else None,
        "stdout": outcome.stdout.decode("utf-8", "replace") if outcome else "",
        "stderr": outcome.stderr.decode("utf-8", "replace") if outcome else "",
        "cpu_s": outcome.cpu_s if outcome else 0.0,
        "wall_s": outcome.wall_s if outcome else 0.0,
        "memory_bytes": outcome.memory_bytes if outcome else 0,
        "reason": reason,
        "attestation": outcome.attestation.to_dict() if outcome else {},
    }
