"""The sandbox keeps the contract of an executor."""

import pytest

from burnish.contracts.executor import Executor, RunState, Trial, TrialResult
from burnish.sandbox import executor
from burnish.sandbox.executor import SandboxExecutor

ASSERTS = "assert f(2) == 4\nassert f(0) == 0"
STATES = [
    ("def f(x):\n    return 2 * x\n", RunState.PASSED),
    ("def f(x):\n    return x + 2\n", RunState.FAILED),
    ("import sys\nprint('passed')\nsys.exit(0)\n", RunState.FAILED),
    ("def f(x):\n    raise SystemExit\n", RunState.FAILED),
    ("def f(x):\n    while True:\n        pass\n", RunState.FAILED),
    ("def f(x:\n", RunState.NOT_EXECUTABLE),
]


def check_states():
    runs = SandboxExecutor(wall_s=1.0)
    trials = [Trial(code=code, asserts=ASSERTS) for code, _ in STATES]
    found = runs.run([*trials, trials[0]])
    assert [r.state for r in found] == [state for _, state in STATES] + [RunState.PASSED]


def test_states_of_planted_programs():
    assert isinstance(SandboxExecutor(), Executor)
    check_states()


def test_planted_failure_as_not_executable(monkeypatch):
    original = executor.result_of

    def never_failed(judged):
        found = original(judged)
        failed = found.state is RunState.FAILED
        return TrialResult(state=RunState.NOT_EXECUTABLE) if failed else found

    monkeypatch.setattr(executor, "result_of", never_failed)
    with pytest.raises(AssertionError):
        check_states()


def test_what_cannot_run_is_no_failure():
    runs = SandboxExecutor()
    script, gone = runs.run(
        [Trial(code="x = 1", asserts=""), Trial(code="x", asserts="y", language="cobol")]
    )
    assert script.state is RunState.UNSCORED and "test" in script.reason
    assert gone.state is not RunState.FAILED and gone.state is not RunState.PASSED
