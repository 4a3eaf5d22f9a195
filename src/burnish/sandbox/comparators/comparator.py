"""The contract of a comparator: is this output the expected one?"""

from dataclasses import dataclass
from typing import Protocol

from burnish.sandbox.verdict import Status


@dataclass(frozen=True, kw_only=True)
class Match:
    """Accepted, presentation error, wrong answer or (a checker program failed) infrastructure."""

    status: Status
    reason: str = ""


class Comparator(Protocol):
    """Compares outputs. Deterministic; raises nothing on any text."""

    def compare(self, output: str, expected: str, stdin: str) -> Match:
        """Say whether `output` answers `stdin` as `expected` does."""
        ...


ACCEPTED = Match(status=Status.ACCEPTED)


def wrong(reason: str) -> Match:
    """A wrong answer, and where it shows."""
    return Match(status=Status.WRONG_ANSWER, reason=reason)


def first_difference(output: list[str], expected: list[str], unit: str) -> str:
    """Where two lists part, in words that show no more than that place."""
    for i, (ours, theirs) in enumerate(zip(output, expected, strict=False), start=1):
        if ours != theirs:
            return f"{unit} {i} is {shortened(ours)}, not {shortened(theirs)}"
    return f"{len(output)} {unit}s instead of {len(expected)}"


def shortened(text: str, limit: int = 60) -> str:
    """A text as it fits into a sentence."""
    return repr(text if len(text) <= limit else text[: limit - 3] + "...")
