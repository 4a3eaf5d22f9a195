"""The closed set of verdicts and their severity."""

import enum
from collections.abc import Iterable


class Status(enum.StrEnum):
    """Verdicts on a program, from best to worst.

    Source: the issue's closed set; the paper has four (all pass, a test fails, run-time error,
    compile error). Departure: limits, tampering and failures of the machine have their own.
    """

    ACCEPTED = "accepted"
    PRESENTATION_ERROR = "presentation_error"
    WRONG_ANSWER = "wrong_answer"
    RUNTIME_ERROR = "runtime_error"
    OUTPUT_LIMIT = "output_limit"
    MEMORY_LIMIT = "memory_limit"
    TIME_LIMIT = "time_limit"
    SECURITY_VIOLATION = "security_violation"
    COMPILE_ERROR = "compile_error"
    INFRASTRUCTURE_ERROR = "infrastructure_error"

    @property
    def severity(self) -> int:
        """Position in that order; larger is worse."""
        return list(Status).index(self)


def worst(statuses: Iterable[Status]) -> Status:
    """The worst of several verdicts; an infrastructure error if there are none."""
    return max(statuses, key=lambda s: s.severity, default=Status.INFRASTRUCTURE_ERROR)
