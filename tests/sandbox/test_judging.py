"""The judge against programs whose verdict is known by construction."""

import dataclasses
import itertools
import re
import socket

import pytest
from fixtures.machine import still_running
from fixtures.planted_programs import FRAMES, planted_programs

from burnish.sandbox.job import MIB, Limits
from burnish.sandbox.judging import judge, judge_many
from burnish.sandbox.languages import find_language, languages
from burnish.sandbox.languages.language import MissingToolChain
from burnish.sandbox.problem import Problem, StdioTest, read_problem
from burnish.sandbox.program import find_chain
from burnish.sandbox.verdict import Status

QUICK = ("python", "c", "bash")  # the others are slow to start or to compile
LIMITS = Limits(cpu_s=0.5, wall_s=0.8, memory_bytes=96 * MIB, output_bytes=MIB, num_processes=24)
SLOW = Limits(cpu_s=3, wall_s=4, memory_bytes=160 * MIB, output_bytes=MIB, num_processes=24)
PATIENT = {"cpu_s": 20, "wall_s": 30}  # where time is not what is tested, it never decides
SLOW_TO_START = {"java", "javascript", "typescript", "csharp", "r", "go"}


@pytest.fixture
def outside(namespaces, tmp_path):
    """A secret, a place to write, and a port that listens: all of this machine."""
    tmp_path.chmod(0o777)
    (tmp_path / "secret").write_text("the secret")
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield {"outside": str(tmp_path), "port": server.getsockname()[1]}
    assert not (tmp_path / "planted").exists()


def check_planted(name, judged, outside, kinds=None):
    wrong = []
    for what, code, status in planted_programs(name, **outside):
        if kinds and what not in kinds:
            continue
        found = judged(name, code, patient=status != "time_limit")
        if found.verdict != status:
            last = found.tests[0]
            wrong.append((what, found.verdict.value, found.reason, last.stdout, last.stderr[-300:]))
    assert wrong == []
    assert still_running("sleep 4321") == []
    assert still_running("sleep 77") == []


def judged(name, code, *, patient):
    limits = SLOW if name in SLOW_TO_START else LIMITS
    limits = dataclasses.replace(limits, **PATIENT) if patient else limits
    tests = (StdioTest(stdin="1 2\n", stdout="3\n"),)
    problem = Problem(code=code, language=name, tests=tests, limits=limits, comparator="token")
    return judge(problem)


@pytest.mark.parametrize(
    "name",
    [n if n in QUICK else pytest.param(n, marks=pytest.mark.scheduled) for n in sorted(FRAMES)],
)
def test_planted_verdicts(name, outside):
    if isinstance(chain := find_chain(find_language(name)), MissingToolChain):
        pytest.skip(chain.reason)
    check_planted(name, judged, outside)


def test_every_language_is_planted():
    assert sorted(FRAMES) == languages.names()


def test_planted_judge_that_reads_texts(outside):
    """The official code looks for words in the output, and never at exit codes."""

    def official(name, code, **how):
        found = judged(name, code, **how)
        said = found.tests[0].stdout + found.tests[0].stderr
        status = Status.RUNTIME_ERROR if "Error" in said else Status.WRONG_ANSWER
        same = "".join(said.split()) == "3"
        return dataclasses.replace(found, verdict=Status.ACCEPTED if same else status)

    with pytest.raises(AssertionError):
        check_planted("c", official, outside, {"segfault", "wrong answer", "accepted"})


ADD = "a, b = map(int, input().split())\nprint(a + b if a < 5 else 1 // (a - 7) or a + b + 1)"
TESTS = [(1, 2, 3), (6, 1, 8), (7, 1, 8), (2, 2, 4)]


def add_problem(order=(0, 1, 2, 3)):
    rows = [{"stdin": f"{TESTS[i][0]} {TESTS[i][1]}", "stdout": str(TESTS[i][2])} for i in order]
    return read_problem({"code": ADD, "language": "python", "tests": rows})


def test_the_order_of_tests_changes_nothing(namespaces):
    results = [judge(add_problem(order)) for order in itertools.islice(
        itertools.permutations(range(4)), 0, None, 5)]  # fmt: skip
    assert {(r.verdict, r.passed, r.reward) for r in results} == {
        (Status.RUNTIME_ERROR, 2, -0.6)}  # fmt: skip


def test_parallel_equals_serial(namespaces):
    def key(result):
        tests = [(t.status, t.reason, t.exit_code, t.stdout) for t in result.tests]
        return result.verdict, result.passed, result.reward, tests

    problems = [add_problem(order) for order in itertools.permutations(range(4), 3)][:6]
    serial = [key(judge(problem)) for problem in problems]
    assert [key(judge(problem, num_workers=4)) for problem in problems] == serial
    assert [key(r) for r in judge_many(problems, num_workers=4)] == serial


def test_calls_compare_outside(namespaces):
    code = "def f(x, y=1): return {'v': [x, (y, 2.0)]}\ndef g(x): return x.append(1)"
    rows = [
        {"function": "f", "args": [1, 2], "expected": {"v": [1, [2, 2]]}},
        {"function": "f", "args": [1], "expected": {"v": [1, [1, 3]]}},
        {"function": "g", "args": [[]], "expected": None},
        {"function": "h", "args": [], "expected": None},
    ]
    result = judge(read_problem({"code": code, "language": "python", "tests": rows}))
    assert [t.status.value for t in result.tests] == [
        "accepted", "wrong_answer", "accepted", "runtime_error"]  # fmt: skip


def test_a_missing_tool_chain_is_no_reward(monkeypatch):
    missing = MissingToolChain(language="C", program="gcc", package="gcc (apt-get install gcc)")
    monkeypatch.setattr("burnish.sandbox.judging.find_chain", lambda language: missing)
    result = judge(read_problem({"code": "", "language": "c", "tests": [{"stdout": ""}]}))
    assert (result.verdict, result.reward) == (Status.INFRASTRUCTURE_ERROR, None)
    assert re.search("apt-get install gcc", result.reason)
