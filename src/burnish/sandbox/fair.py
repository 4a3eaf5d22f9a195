"""Verdicts that do not depend on load: a grace above the budget, and borderline jobs run alone."""

import dataclasses
import fcntl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from burnish.base.files import storage_errors
from burnish.models.cache import cache_folder
from burnish.sandbox.job import Job, Limit, Outcome
from burnish.sandbox.running import run_job

GRACE = 1.1  # how far a job may pass its budget before it is ended: what ends between is borderline
LOADED = 2.0  # a job that took this many times its wall limit was kept waiting by others


class Turnstile:
    """Admits many in parallel, or one alone; a waiter for exclusive access blocks newcomers."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._inside = self._waiting = 0

    @contextmanager
    def together(self) -> Iterator[None]:
        """Run in parallel with others."""
        with self._condition:
            self._condition.wait_for(lambda: not self._waiting)
            self._inside += 1
        try:
            yield
        finally:
            with self._condition:
                self._inside -= 1
                self._condition.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Run alone: exclusive in this process, and one at a time across processes."""
        with self._condition:
            self._waiting += 1
            self._condition.wait_for(lambda: not self._inside)
            self._inside += 1
        try:
            with _alone_among_processes():
                yield
        finally:
            with self._condition:
                self._inside -= 1
                self._waiting -= 1
                self._condition.notify_all()


TURNSTILE = Turnstile()


def run_fairly(job: Job, *, isolation: str = "auto") -> Outcome:
    """Run a job so that the verdict on its time is that of an idle machine.

    A job whose processor time ends just above the budget is run again alone (caches and shared
    cores cost time that is not its own), and the second run counts.
    Raises: IsolationError.
    Source: ours. Oracle: tests/sandbox/test_fair.py::test_borderline_runs_again_alone
    """
    limits = job.limits
    generous = dataclasses.replace(limits, cpu_s=GRACE * limits.cpu_s)
    lenient = dataclasses.replace(job, limits=generous)
    with TURNSTILE.together():
        outcome = run_job(lenient, isolation=isolation)
    if _is_borderline(outcome, job):
        with TURNSTILE.alone():
            outcome = run_job(lenient, isolation=isolation)
    if outcome.limit is None and not outcome.failure and outcome.cpu_s > limits.cpu_s:
        return dataclasses.replace(outcome, limit=Limit.CPU)
    return outcome


def _is_borderline(outcome: Outcome, job: Job) -> bool:
    ended_late = outcome.limit is None and outcome.cpu_s > job.limits.cpu_s
    held_up = outcome.limit is Limit.WALL and outcome.wall_s > LOADED * job.limits.wall_s
    return not outcome.failure and (ended_late or held_up)


@contextmanager
def _alone_among_processes() -> Iterator[None]:
    path = cache_folder() / "sandbox" / "alone.lock"
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
