"""Runs a program in the sandbox and learns which lines it reached, how often and for how long."""

import dataclasses
import re
from collections.abc import Sequence

from burnish.analysis.deadline import NO_DEADLINE, Deadline
from burnish.analysis.instrument import PROBES, TRACERS, executable_lines, instrument
from burnish.analysis.schema import Coverage, LineCost, TraceRun
from burnish.sandbox.classify import reason_of
from burnish.sandbox.job import Job, Limits, Outcome
from burnish.sandbox.languages import find_language
from burnish.sandbox.languages.language import MissingToolChain
from burnish.sandbox.program import Program, encode, job_of, prepare
from burnish.sandbox.running import run_job

LINES_FILE = ".burnish-lines"
BY_FILE = {"java", "csharp", "lua", "r"}  # their libraries cannot write to a descriptor
AFTERWARDS = f'"$@"; code=$?; cat "$HOME/{LINES_FILE}" >&3; exit $code'
XTRACE_PROMPT = "+burnish $LINENO $EPOCHREALTIME "
XTRACE_MARK = re.compile(r"^\++burnish (\d+) (\d+)[.,](\d+) ", re.MULTILINE)
HOOKS = {"python": "py", "ruby": "rb", "lua": "lua", "perl": "pl", "r": "r", "php": "php"}


def trace(
    code: str,
    language: str,
    stdins: Sequence[str],
    *,
    limits: Limits | None = None,
    isolation: str = "auto",
    deadline: Deadline = NO_DEADLINE,
) -> Coverage | str:
    """Coverage and cost of the lines over several inputs; a text says why there is none.

    Interpreters report lines themselves (Python, Ruby, Lua, Perl, Bash, R), the other languages
    are instrumented. The time of a line is what passed until the next one was reached, calls
    into other lines not included. A program that is killed reports nothing.
    Raises: UnknownNameError; IsolationError.
    Source: ours; the paper names a tool for Python alone.
    Oracle: tests/analysis/test_lines.py::test_lines_of_generated_programs
    """
    try:
        lines = executable_lines(code, language) if language != "r" else ()
        program = _prepared(code, language, isolation, deadline)
    except RecursionError:
        return "its statements are nested too deeply"
    if isinstance(program, str):
        return program
    runs = []
    for i, stdin in enumerate(stdins):
        if deadline.passed:
            runs.append(TraceRun(test=i, status="not run: the deadline has passed", lines=()))
            continue
        job = job_of(program, stdin=encode(stdin), limits=deadline.bounded(limits or Limits()))
        runs.append(_run(job, language, program.source, number=i, isolation=isolation))
    if language == "r":
        known = sorted({cost.line for run in runs for cost in run.lines})
        return Coverage(executable=tuple(known), tests=tuple(runs))
    runs = [dataclasses.replace(r, lines=_onto(r.lines, lines)) for r in runs]
    return Coverage(executable=lines, tests=tuple(runs))


def _prepared(code: str, language: str, isolation: str, deadline: Deadline) -> Program | str:
    found = find_language(language)
    if language in PROBES:
        code = instrument(code, language)
    if deadline.passed:
        return "the deadline has passed"
    program = prepare(code, found, isolation=isolation, deadline_s=deadline.left_s)
    if isinstance(program, MissingToolChain):
        return program.reason
    if isinstance(program, Outcome):
        said = (program.stderr + program.stdout).decode("utf-8", "replace").strip() or reason_of(
            program
        )
        return f"it does not compile: {said[:400]}"
    return program


def _run(job: Job, language: str, source: str, *, number: int, isolation: str) -> TraceRun:
    job = dataclasses.replace(_hooked(job, language, source), report=True)
    outcome = run_job(job, isolation=isolation)
    status = "ok" if outcome.ok else reason_of(outcome)
    if language == "bash":
        lines = read_xtrace(outcome.report.decode("utf-8", "replace"))
    else:
        lines = _read(outcome.report)
    if not lines and outcome.ok:
        status = "the program reported no lines"
    return TraceRun(test=number, status=status, lines=lines)


def _hooked(job: Job, language: str, source: str) -> Job:
    """The job with the interpreter's own way to report lines switched on."""
    command, files, env = list(job.argv), dict(job.files), dict(job.env)
    if language == "bash":
        env |= {"BASH_XTRACEFD": "3", "PS4": XTRACE_PROMPT}
        command.insert(-1, "-x")
    elif language == "perl":
        files["Devel/BurnishTrace.pm"] = _tracer("pl")
        command[-1:] = ["-I.", "-d:BurnishTrace", source]
    elif language == "php":
        files["burnish.php"] = _tracer("php")
        command[-1:] = ["-d", "auto_prepend_file=burnish.php", source]
    elif language in HOOKS:
        name = f"burnish.{HOOKS[language]}"
        files[name] = _tracer(HOOKS[language])
        path = f"./{source}" if language == "ruby" else source
        command[-1:] = [name, path]
        command = [part for part in command if part != "-E"]
    if language in BY_FILE:
        command = ["/bin/sh", "-c", AFTERWARDS, "sh", *command]
    return dataclasses.replace(job, argv=tuple(command), files=files, env=env)


def _tracer(suffix: str) -> bytes:
    return (TRACERS / f"hook.{suffix}.txt").read_bytes()


def _read(report: bytes) -> tuple[LineCost, ...]:
    """Rows of line, hits and nanoseconds; anything else the program wrote there is ignored."""
    rows = (line.split() for line in report.decode("ascii", "replace").splitlines())
    good = [row for row in rows if len(row) == 3 and all(x.isdecimal() for x in row)]
    return tuple(LineCost(line=int(a), hits=int(b), time_s=int(c) / 1e9) for a, b, c in good)


def read_xtrace(report: str) -> tuple[LineCost, ...]:
    """One row per line of a script that `bash -x` ran. The last command's time counts as none.

    A command traced several times on one line in a row (a pipeline, a list) is one hit each.
    """
    marks = [(int(m[1]), int(m[2]) + int(m[3]) / 1e6) for m in XTRACE_MARK.finditer(report)]
    hits: dict[int, int] = {}
    time_s: dict[int, float] = {}
    for i, (line, at) in enumerate(marks):
        after = marks[i + 1][1] if i + 1 < len(marks) else at
        hits[line] = hits.get(line, 0) + 1
        time_s[line] = time_s.get(line, 0.0) + max(after - at, 0.0)
    return tuple(LineCost(line=x, hits=hits[x], time_s=time_s[x]) for x in sorted(hits))


def _onto(costs: tuple[LineCost, ...], executable: tuple[int, ...]) -> tuple[LineCost, ...]:
    """Time on the later lines of a statement belongs to its first line; their hits do not."""
    time_s: dict[int, float] = {}
    hits: dict[int, int] = {}
    for cost in costs:
        starts = [line for line in executable if line <= cost.line]
        if starts:
            time_s[starts[-1]] = time_s.get(starts[-1], 0.0) + cost.time_s
            if starts[-1] == cost.line:
                hits[cost.line] = hits.get(cost.line, 0) + cost.hits
    return tuple(
        LineCost(line=line, hits=hits.get(line, 0), time_s=time_s.get(line, 0.0))
        for line in executable
    )
