"""The closed set of verdicts, and how bad each is."""

import enum
from collections.abc import Iterable


class Status(enum.StrEnum):
    """What a judge says of a program, from best to worst; `max` by `severity` is the worst.

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
        """Position in the order above."""
        return list(Status).index(self)


def worst(statuses: Iterable[Status]) -> Status:
    """The worst of some verdicts, whatever their order. Without any: infrastructure error."""
    return max(statuses, key=lambda s: s.severity, default=Status.INFRASTRUCTURE_ERROR)
