"""One test of one program: run it, and say what came of it."""

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any

from burnish.sandbox.classify import reason_of, status_of, tail
from burnish.sandbox.comparators import parse_comparator
from burnish.sandbox.fair import run_fairly
from burnish.sandbox.guard import (
    Finding,
    asserts_job,
    call_job,
    last_words,
    mark_finding,
    new_nonce,
    read_finding,
)
from burnish.sandbox.job import Attestation, Outcome
from burnish.sandbox.languages import languages
from burnish.sandbox.languages.language import Language, MissingToolChain
from burnish.sandbox.problem import AssertTest, CallTest, Problem, StdioTest, Test
from burnish.sandbox.program import Program, encode, job_of, prepare
from burnish.sandbox.verdict import Status

RELATIVE = 1e-9  # results of calls that are floats may differ by this much


@dataclass(frozen=True, kw_only=True)
class TestResult:
    """The verdict of one test, with what it took."""

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


def run_test(
    test: Test, *, problem: Problem, language: Language, isolation: str = "auto"
) -> TestResult:
    """Run one test; the program is compiled, or found in the cache.

    Raises: IsolationError; UnknownNameError or SettingError, for the comparator.
    """
    python = languages.name_of(language) == "python"
    nonce, code, marked = new_nonce(), problem.code, False
    if isinstance(test, AssertTest) and not python:
        words = last_words(languages.name_of(language), nonce)
        marked = words is not None
        code = f"{code}\n{test.asserts}\n{words or ''}\n"
    program = prepare(code, language, isolation=isolation)
    if not isinstance(program, Program):
        return _unprepared(program)
    if isinstance(test, StdioTest):
        job = job_of(program, stdin=encode(test.stdin), limits=problem.limits)
        outcome = run_fairly(job, isolation=isolation)
        return _finish(outcome, _compare(outcome, test, problem, program, isolation))
    job = dataclasses.replace(job_of(program, limits=problem.limits), report=True)
    if isinstance(test, CallTest):
        if not python:
            reason = "calls are judged for Python alone; use stdin and stdout, or asserts"
            return TestResult(status=Status.INFRASTRUCTURE_ERROR, reason=reason)
        job = call_job(job, code, test.function, args=test.args, nonce=nonce)
    elif python:
        job = asserts_job(job, code, test.asserts, nonce=nonce)
    outcome = run_fairly(job, isolation=isolation)
    if python and outcome.limit is None and not outcome.failure:
        return _finish(outcome, _expect(read_finding(outcome, nonce), test))
    status = status_of(outcome, program, isolation=isolation)
    if status is not None:
        return _finish(outcome, Finding(status=status, reason=reason_of(outcome)))
    finding = mark_finding(outcome, nonce) if marked else Finding(status=Status.ACCEPTED)
    return _finish(outcome, finding)


def same_value(value: Any, expected: Any) -> bool:
    """Whether a call returned what was expected; floats may differ by rounding.

    Both are plain JSON data, so no comparison of theirs runs the tested code's own.
    Source: ours. Oracle: tests/sandbox/test_judge.py::test_values_are_compared_by_kind
    """
    if isinstance(value, bool) or isinstance(expected, bool):
        return value is expected
    if isinstance(value, int | float) and isinstance(expected, int | float):
        if math.isnan(value) or math.isnan(expected):
            return math.isnan(value) and math.isnan(expected)
        return value == expected or math.isclose(value, expected, rel_tol=RELATIVE)
    if isinstance(value, list) and isinstance(expected, list):
        pairs = zip(value, expected, strict=False)
        return len(value) == len(expected) and all(same_value(a, b) for a, b in pairs)
    if isinstance(value, dict) and isinstance(expected, dict):
        same = value.keys() == expected.keys()
        return same and all(same_value(value[key], expected[key]) for key in value)
    return type(value) is type(expected) and value == expected


def _compare(
    outcome: Outcome, test: StdioTest, problem: Problem, program: Program, isolation: str
) -> Finding:
    status = status_of(outcome, program, isolation=isolation)
    if status is not None:
        return Finding(status=status, reason=reason_of(outcome))
    output = outcome.stdout.decode("utf-8", "replace")
    match = parse_comparator(problem.comparator).compare(output, test.stdout, test.stdin)
    return Finding(status=match.status, reason=match.reason)


def _expect(finding: Finding, test: Test) -> Finding:
    if not isinstance(test, CallTest) or finding.status is not Status.ACCEPTED:
        return finding
    if same_value(finding.value, json.loads(json.dumps(test.expected))):
        return finding
    reason = f"{test.function} returned {json.dumps(finding.value)[:120]}"
    return Finding(status=Status.WRONG_ANSWER, reason=reason)


def _unprepared(failed: MissingToolChain | Outcome) -> TestResult:
    if isinstance(failed, MissingToolChain):
        return TestResult(status=Status.INFRASTRUCTURE_ERROR, reason=failed.reason)
    status = Status.INFRASTRUCTURE_ERROR if failed.failure else Status.COMPILE_ERROR
    return _finish(failed, Finding(status=status, reason=reason_of(failed)))


def _finish(outcome: Outcome, finding: Finding) -> TestResult:
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
    )
