"""From verdicts to rewards."""

from collections.abc import Iterable
from dataclasses import dataclass

from burnish.sandbox.verdict import Status, worst


@dataclass(frozen=True, kw_only=True)
class RewardScheme:
    """Reward of the worst stage over all tests; None where the machine failed, never 0.

    Source: MPLSandbox, arXiv 2410.23074, supplement: +1 all tests pass, -0.3 a test fails,
    -0.6 run-time error, -1 compile error. Departure: the paper is silent on limits (here as
    run-time errors), on tampering (here as compile errors) and on several tests (here the worst;
    its code takes the last).
    Oracle: tests/sandbox/test_reward.py::test_rewards_of_the_paper, ::test_worst_stage_by_hand
    """

    passed: float = 1.0
    failed: float = -0.3
    crashed: float = -0.6
    not_compiled: float = -1.0
    limited: float = -0.6
    tampered: float = -1.0

    def of(self, status: Status) -> float | None:
        """The reward for one verdict."""
        return {
            Status.ACCEPTED: self.passed,
            Status.PRESENTATION_ERROR: self.failed,
            Status.WRONG_ANSWER: self.failed,
            Status.RUNTIME_ERROR: self.crashed,
            Status.OUTPUT_LIMIT: self.limited,
            Status.MEMORY_LIMIT: self.limited,
            Status.TIME_LIMIT: self.limited,
            Status.SECURITY_VIOLATION: self.tampered,
            Status.COMPILE_ERROR: self.not_compiled,
            Status.INFRASTRUCTURE_ERROR: None,
        }[status]

    def of_tests(self, statuses: Iterable[Status]) -> float | None:
        """The smallest reward over the tests, in whatever order they ran."""
        statuses = list(statuses)
        if worst(statuses) is Status.INFRASTRUCTURE_ERROR:
            return None
        return min(value for s in statuses if (value := self.of(s)) is not None)
