"""What each address of the service does: JSON in, JSON out, no HTTP."""

import base64
import binascii
import dataclasses
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from burnish.base.errors import InputError
from burnish.sandbox.classify import reason_of
from burnish.sandbox.detection import detect
from burnish.sandbox.job import MIB, Job, Limit, Limits, Outcome
from burnish.sandbox.judging import combine, judge
from burnish.sandbox.languages import find_language, language_name
from burnish.sandbox.languages.language import MissingToolChain
from burnish.sandbox.problem import read_problem
from burnish.sandbox.program import Program, job_of, prepare
from burnish.sandbox.running import run_job
from burnish.sandbox.verdict import Status

LATE = {Limit.CPU, Limit.WALL}
KILLED = 137  # the shell's exit code of a process that was killed


class DeadlinePassed(Exception):
    """The service's deadline ended a job before its own limits did: there is no verdict."""

    def __init__(self) -> None:
        super().__init__("the deadline of the service came before the job had ended")


def run_code(body: Mapping[str, Any], *, deadline_s: float, isolation: str) -> dict[str, Any]:
    """SandboxFusion's `/run_code`: the same fields in, the same fields out.

    `run_timeout` bounds processor time and the time that passes, the latter without what the load
    of the machine adds; compilers have their language's own limits.
    Raises: InputError, for a field; UnknownNameError, for the language; DeadlinePassed.
    Source: bytedance/SandboxFusion's published schema (also what verl sends).
    Departure: `memory_limit_MB` counts the whole process tree, and output is not cut at the size
    of a pipe. As there, empty code runs, and PHP gets the opening tag that it lacks.
    Oracle: tests/server/test_sandbox.py::test_run_code_has_the_published_schema
    """
    code, language = (
        text_field(body, "code", empty=True),
        find_language(text_field(body, "language")),
    )
    limits, files = _limits(body), _files(body)
    started = time.monotonic()
    program = prepare(code, language, isolation=isolation, deadline_s=deadline_s)
    compile_s = time.monotonic() - started
    if isinstance(program, MissingToolChain):
        return _answer("SandboxError", message=program.reason)
    if isinstance(program, Outcome):
        if program.limit in LATE and deadline_s < language.compile_limits.wall_s:
            raise DeadlinePassed
        status = "SandboxError" if program.failure else "Failed"
        return _answer(status, message=program.failure, compile_result=_result(program))
    done = {"status": "Finished", "execution_time": compile_s, "return_code": 0}
    compiled = {**done, "stdout": "", "stderr": ""} if program.folder else None
    left_s = max(deadline_s - compile_s, 0.001)
    bounded = dataclasses.replace(limits, wall_s=min(limits.wall_s, left_s))
    outcome, fetched = _run(program, body, files, bounded, isolation)
    if outcome.limit is Limit.WALL and bounded.wall_s < limits.wall_s:
        raise DeadlinePassed
    status = "SandboxError" if outcome.failure else "Success" if outcome.ok else "Failed"
    return _answer(
        status,
        message="" if outcome.ok else reason_of(outcome),
        compile_result=compiled,
        run_result=_result(outcome),
        files=fetched,
    )


def judge_code(body: Mapping[str, Any], *, deadline_s: float, isolation: str) -> dict[str, Any]:
    """`/judge`: a problem as `burnish sandbox judge` reads it; the same keys come back.

    Folders of packages are this machine's, so no request may name any.
    Raises: DeadlinePassed, before all tests have a verdict of their own; InputError.
    """
    if body.get("packages"):
        rule, remedy = "cannot be named over HTTP", "Judge with `burnish sandbox judge`"
        raise InputError("packages", body["packages"], rule, remedy=remedy)
    problem = read_problem(body, name="body")
    ends, wall_s, results = time.monotonic() + deadline_s, problem.limits.wall_s, []
    for test in problem.tests:
        left_s = ends - time.monotonic()
        if left_s <= 0:
            raise DeadlinePassed
        limits = dataclasses.replace(problem.limits, wall_s=min(wall_s, left_s))
        one = dataclasses.replace(problem, tests=(test,), limits=limits)
        (result,) = judge(one, isolation=isolation).tests
        if result.status is Status.TIME_LIMIT and left_s < wall_s:
            raise DeadlinePassed
        if result.status is Status.COMPILE_ERROR and not results:
            return judge(problem, isolation=isolation).to_dict()  # the same for all, found once
        results.append(result)
    return combine(results, language_name(find_language(problem.language))).to_dict()


def detect_code(body: Mapping[str, Any], *, deadline_s: float, isolation: str) -> dict[str, Any]:
    """`/detect`: the language of `code`, or null."""
    found = detect(text_field(body, "code"), body.get("path"))
    candidates = [{"language": name, "confidence": p} for name, p in found.candidates[:5]]
    return {
        "language": found.language, "confidence": found.confidence, "candidates": candidates
    }  # fmt: skip


def text_field(body: Mapping[str, Any], name: str, *, empty: bool = False) -> str:
    """The text in a field of a request. Raises: InputError, if it is missing."""
    value = body.get(name)
    if not isinstance(value, str) or not (value or empty):
        raise InputError(name, value, "must be a text", remedy=f"Give {name!r} in the body")
    return value


def _run(
    program: Program, body: Mapping[str, Any], files: Mapping[str, bytes], limits: Limits,
    isolation: str,
) -> tuple[Outcome, dict[str, str]]:  # fmt: skip
    stdin = (body.get("stdin") or "").encode("utf-8", "replace")
    job: Job = job_of(program, stdin=stdin, limits=limits)
    job = dataclasses.replace(job, files={**files, **job.files})
    wanted = body.get("fetch_files") or []
    if not wanted:
        return run_job(job, isolation=isolation), {}
    with tempfile.TemporaryDirectory(prefix="burnish-fetch-") as folder:
        outcome = run_job(dataclasses.replace(job, keep=Path(folder)), isolation=isolation)
        paths = {name: _inside(Path(folder), name) for name in wanted}
        fetched = {
            name: base64.b64encode(path.read_bytes()).decode()
            for name, path in paths.items()
            if path.is_file() and not path.is_symlink()
        }
    return outcome, fetched


def _inside(folder: Path, name: Any) -> Path:
    path = (folder / str(name).removeprefix("./")).resolve()
    if not isinstance(name, str) or not path.is_relative_to(folder.resolve()):
        rule, remedy = "must stay inside the work folder", "Use a relative path"
        raise InputError("fetch_files", name, rule, remedy=remedy)
    return path


def _result(outcome: Outcome) -> dict[str, Any]:
    late = outcome.limit in LATE
    code = outcome.exit_code if outcome.signal is None else -outcome.signal
    if outcome.limit is Limit.MEMORY:
        code = KILLED
    return {
        "status": "TimeLimitExceeded" if late else "Error" if outcome.failure else "Finished",
        "execution_time": outcome.wall_s,
        "return_code": None if late else code,
        "stdout": outcome.stdout.decode("utf-8", "replace"),
        "stderr": outcome.stderr.decode("utf-8", "replace"),
    }


def _answer(status: str, **fields: Any) -> dict[str, Any]:
    empty = {"message": "", "compile_result": None, "run_result": None}
    return {"status": status, **empty, "executor_pod_name": None, "files": {}, **fields}


def _limits(body: Mapping[str, Any]) -> Limits:
    run_s, memory = body.get("run_timeout", 10), body.get("memory_limit_MB", -1)
    for name, value in (("run_timeout", run_s), ("memory_limit_MB", memory)):
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
            raise InputError(name, value, "must be a number", remedy="Leave it out for 10 seconds")
    limits = Limits(cpu_s=run_s, wall_s=run_s)
    if memory and memory > 0:
        limits = dataclasses.replace(limits, memory_bytes=int(memory * MIB))
    return limits


def _files(body: Mapping[str, Any]) -> dict[str, bytes]:
    given = body.get("files") or {}
    if not isinstance(given, Mapping):
        raise InputError("files", given, "must be an object", remedy='Write {"name": "base64"}')
    return {name: _decoded(name, text) for name, text in given.items() if text is not None}


def _decoded(name: str, text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError):
        rule, remedy = "must be base64", "Encode the file's content"
        raise InputError(f"files[{name!r}]", str(text)[:40], rule, remedy=remedy) from None
