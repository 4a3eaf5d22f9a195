"""The interface for running programs: code, a script of asserts, and the result."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


class RunState(enum.StrEnum):
    """The outcome of one trial; a program that could not be run does not count as failed."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_EXECUTABLE = "not_executable"  # nothing here runs it: another language, no compiler
    UNSCORED = "unscored"  # the machine failed


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A program, and a script of asserts that must run to its end after it."""

    code: str
    asserts: str
    language: str = "python"


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """The state of a trial, and why."""

    state: RunState
    reason: str = ""


@runtime_checkable
class Executor(Protocol):
    """Runs trials in other processes, with limits; returns one result per trial, in order."""

    def run(self, trials: Sequence[Trial]) -> list[TrialResult]:
        """Run all trials. Raises nothing that a program could cause."""
        ...
