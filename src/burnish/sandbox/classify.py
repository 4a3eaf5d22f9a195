"""From the outcome of a job to a verdict, by exit code, signal and limits."""

import signal

from burnish.sandbox.job import Limit, Outcome
from burnish.sandbox.languages.language import Language
from burnish.sandbox.program import Program, check_job
from burnish.sandbox.running import run_job
from burnish.sandbox.verdict import Status

BY_LIMIT = {
    Limit.CPU: Status.TIME_LIMIT,
    Limit.WALL: Status.TIME_LIMIT,
    Limit.MEMORY: Status.MEMORY_LIMIT,
    Limit.OUTPUT: Status.OUTPUT_LIMIT,
    Limit.FILE: Status.OUTPUT_LIMIT,
    Limit.DISK: Status.OUTPUT_LIMIT,
    Limit.PROCESSES: Status.RUNTIME_ERROR,
    Limit.FORBIDDEN: Status.SECURITY_VIOLATION,
}
TAIL_BYTES = 4000


def status_of(outcome: Outcome, program: Program, *, isolation: str = "auto") -> Status | None:
    """The verdict that the run alone gives; None if it ended well and its output decides.

    A run that failed is asked once more whether its code is a program at all, where nothing was
    compiled before.
    Source: ours. Oracle: tests/sandbox/test_judging.py::test_planted_verdicts
    """
    if outcome.failure:
        return Status.INFRASTRUCTURE_ERROR
    if outcome.limit is not None:
        return BY_LIMIT[outcome.limit]
    if outcome.exit_code == 0:
        return None
    if _ran_out_of_memory(outcome, program.language):
        return Status.MEMORY_LIMIT
    job = check_job(program)
    if job is not None and outcome.exit_code is not None:
        checked = run_job(job, isolation=isolation)
        if checked.failure:
            return Status.INFRASTRUCTURE_ERROR
        if checked.exit_code not in (0, None):
            return Status.COMPILE_ERROR
    return Status.RUNTIME_ERROR


def reason_of(outcome: Outcome) -> str:
    """How a run ended, in one line."""
    if outcome.failure:
        return outcome.failure
    if outcome.limit is Limit.FORBIDDEN:
        return "it asked for a system call that is forbidden"
    if outcome.limit is not None:
        return f"the limit {outcome.limit.value} was reached"
    if outcome.signal is not None:
        return f"it was ended by {signal.Signals(outcome.signal).name}"
    lines = tail(outcome.stderr).strip().splitlines()
    said = f": {lines[-1][:200]}" if lines else ""
    return f"exit code {outcome.exit_code}{said}" if outcome.exit_code else ""


def tail(text: bytes, num_bytes: int = TAIL_BYTES) -> str:
    """The end of an output, as text."""
    return text[-num_bytes:].decode("utf-8", "replace")


def _ran_out_of_memory(outcome: Outcome, language: Language) -> bool:
    said = tail(outcome.stderr)
    return any(words in said for words in language.memory_errors)
