"""The words for how a run ended, and the verdicts that a run alone gives."""

import dataclasses
import signal

import pytest

from burnish.sandbox.classify import BY_LIMIT, TAIL_BYTES, reason_of, status_of, tail
from burnish.sandbox.job import Limit, Outcome
from burnish.sandbox.languages import find_language
from burnish.sandbox.program import Program, prepare
from burnish.sandbox.verdict import Status

ENDED = Outcome(
    exit_code=0, signal=None, stdout=b"", stderr=b"", cpu_s=0.1, wall_s=0.1, memory_bytes=1
)


def ended(**fields):
    return dataclasses.replace(ENDED, **fields)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, ""),
        ({"failure": "no launcher"}, "no launcher"),
        ({"limit": Limit.FORBIDDEN}, "it asked for a system call that is forbidden"),
        ({"limit": Limit.CPU, "signal": 9}, "the limit cpu_s was reached"),
        ({"exit_code": None, "signal": signal.SIGSEGV}, "it was ended by SIGSEGV"),
        ({"exit_code": 3}, "exit code 3"),
        ({"exit_code": 1, "stderr": b"a\nValueError: b\n\n"}, "exit code 1: ValueError: b"),
        ({"exit_code": 1, "stderr": b"x" * 500}, "exit code 1: " + "x" * 200),
        ({"stderr": b"a warning"}, ""),
    ],
)
def test_a_reason_is_one_line(fields, reason):
    assert reason_of(ended(**fields)) == reason


def test_the_end_of_an_output_is_text():
    assert tail(b"ab\xff", 2) == "b\ufffd"
    assert len(tail(b"x" * (TAIL_BYTES + 1))) == TAIL_BYTES


def test_every_limit_has_a_verdict():
    assert set(BY_LIMIT) == set(Limit)


@pytest.mark.parametrize(
    ("code", "fields", "status"),
    [
        ("print(1)", {}, None),
        ("print(1)", {"failure": "broken"}, Status.INFRASTRUCTURE_ERROR),
        ("print(1)", {"limit": Limit.WALL}, Status.TIME_LIMIT),
        ("print(1)", {"limit": Limit.FORBIDDEN}, Status.SECURITY_VIOLATION),
        ("print(1)", {"exit_code": 1, "stderr": b"MemoryError\n"}, Status.MEMORY_LIMIT),
        ("print(1)", {"exit_code": 1}, Status.RUNTIME_ERROR),
        ("print(1", {"exit_code": 1}, Status.COMPILE_ERROR),
        ("print(1", {"exit_code": None, "signal": 11}, Status.RUNTIME_ERROR),
    ],
)
def test_what_a_run_alone_says(code, fields, status, namespaces):
    program = prepare(code, find_language("python"))
    assert isinstance(program, Program)
    assert status_of(ended(**fields), program) is status
