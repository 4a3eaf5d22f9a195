"""One test of one program: run it, and report the result."""

import dataclasses
from dataclasses import dataclass

from burnish.sandbox.classify import reason_of, status_of, tail
from burnish.sandbox.comparators import parse_comparator
from burnish.sandbox.fair import run_fairly
from burnish.sandbox.guard import (
    Finding,
    Way,
    asserts_job,
    call_job,
    mark_finding,
    new_nonce,
    nonce_of,
    read_finding,
)
from burnish.sandbox.job import Attestation, Job, Outcome
from burnish.sandbox.languages import languages
from burnish.sandbox.languages.language import Language, MissingToolChain
from burnish.sandbox.problem import AssertTest, CallTest, Problem, StdioTest, Test
from burnish.sandbox.program import Program, encode, job_of, prepare, without_mark
from burnish.sandbox.values import Unordered, same_value
from burnish.sandbox.verdict import Status

ITS_OWN = {Status.ACCEPTED, Status.COMPILE_ERROR, Status.SECURITY_VIOLATION}


@dataclass(frozen=True, kw_only=True)
class TestResult:
    """The verdict of one test, with what it took.

    `way` says where asserts ran (`guard.Way`); empty: there were none.
    """

    __test__ = False  # pytest would collect the name

    status: Status
    reason: str = ""
    exit_code: int | None = None
    cpu_s: float = 0.0
    wall_s: float = 0.0
    memory_bytes: int = 0
    stdout: str = ""
    stderr: str = ""
    attestation: Attestation | None = None
    way: str = ""


def run_test(
    test: Test, *, problem: Problem, language: Language, isolation: str = "auto"
) -> TestResult:
    """Run one test, compiling the program unless it is cached.

    Raises: IsolationError; UnknownNameError or SettingError, for the comparator.
    """
    if isinstance(test, AssertTest) and languages.name_of(language) != "python":
        return _run_behind(test, problem, language, isolation)
    program = prepare(problem.code, language, isolation=isolation, packages=problem.packages)
    if not isinstance(program, Program):
        return _unprepared(program)
    if isinstance(test, StdioTest):
        job = job_of(program, stdin=encode(test.stdin), limits=problem.limits)
        outcome = run_fairly(job, isolation=isolation)
        return _finish(outcome, _compare(outcome, test, problem, program, isolation))
    if languages.name_of(language) != "python":
        reason = "calls are judged only in Python; use stdin and stdout, or asserts"
        return TestResult(status=Status.INFRASTRUCTURE_ERROR, reason=reason)
    job = dataclasses.replace(job_of(program, limits=problem.limits), report=True)
    if isinstance(test, AssertTest):
        return _run_guarded(job, program.code, test, isolation)
    nonce = new_nonce()
    job = call_job(job, program.code, test.function, args=test.args, nonce=nonce)
    outcome = run_fairly(job, isolation=isolation)
    return _finish(outcome, _expect(read_finding(outcome, nonce), test))


def _run_guarded(job: Job, code: str, test: AssertTest, isolation: str) -> TestResult:
    """At the border; together, where something did not cross and the verdict may be its fault."""
    for way in (Way.BORDER, Way.TOGETHER):
        nonce = new_nonce()
        asked = asserts_job(job, code, without_mark(test.asserts), nonce=nonce, way=way)
        outcome = run_fairly(asked, isolation=isolation)
        finding = read_finding(outcome, nonce)
        final = ITS_OWN - {Status.ACCEPTED} if finding.split else ITS_OWN
        if not finding.strained or finding.status in final:
            break
    return _finish(outcome, finding, way)


def _run_behind(
    test: AssertTest, problem: Problem, language: Language, isolation: str
) -> TestResult:
    """With the asserts behind the code, in its own file."""
    code, asserts = without_mark(problem.code), without_mark(test.asserts)
    nonce = nonce_of(code, asserts)
    marked = language.ended(asserts, nonce)
    asserts = asserts if marked is None else marked
    language = language.for_asserts(asserts)
    code = language.with_asserts(code, asserts)
    program = prepare(code, language, isolation=isolation, packages=problem.packages)
    if not isinstance(program, Program):
        return _unprepared(program)
    program = dataclasses.replace(program, loaded=True)
    job = dataclasses.replace(job_of(program, limits=problem.limits), report=True)
    outcome = run_fairly(job, isolation=isolation)
    status = status_of(outcome, program, isolation=isolation)
    if status is not None:
        return _finish(outcome, Finding(status=status, reason=reason_of(outcome)), Way.BEHIND)
    finding = Finding(status=Status.ACCEPTED)
    if marked is not None:
        finding = mark_finding(outcome, nonce)
    return _finish(outcome, finding, Way.BEHIND)


def _compare(
    outcome: Outcome, test: StdioTest, problem: Problem, program: Program, isolation: str
) -> Finding:
    status = status_of(outcome, program, isolation=isolation)
    if status is not None:
        return Finding(status=status, reason=reason_of(outcome))
    output = outcome.stdout.decode("utf-8", "surrogateescape")  # equal to no character
    match = parse_comparator(problem.comparator).compare(output, test.stdout, test.stdin)
    return Finding(status=match.status, reason=match.reason)


def _expect(finding: Finding, test: Test) -> Finding:
    if not isinstance(test, CallTest) or finding.status is not Status.ACCEPTED:
        return finding
    if same_value(finding.value, test.expected):
        return finding
    value = finding.value.items if isinstance(finding.value, Unordered) else finding.value
    reason = f"{test.function} returned {value!r}"[:160]
    return Finding(status=Status.WRONG_ANSWER, reason=reason)


def _unprepared(failed: MissingToolChain | Outcome) -> TestResult:
    if isinstance(failed, MissingToolChain):
        return TestResult(status=Status.INFRASTRUCTURE_ERROR, reason=failed.reason)
    status = Status.INFRASTRUCTURE_ERROR if failed.failure else Status.COMPILE_ERROR
    return _finish(failed, Finding(status=status, reason=reason_of(failed)))


def _finish(outcome: Outcome, finding: Finding, way: Way | None = None) -> TestResult:
    return TestResult(
        status=finding.status,
        reason=finding.reason,
        exit_code=outcome.exit_code,
        cpu_s=outcome.cpu_s,
        wall_s=outcome.wall_s,
        memory_bytes=outcome.memory_bytes,
        stdout=tail(outcome.stdout),
        stderr=tail(outcome.stderr),
        attestation=outcome.attestation,
        way=way.value if way else "",
    )
