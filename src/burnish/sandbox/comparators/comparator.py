"""The contract of a comparator: is this output the expected one?"""

import re
from dataclasses import dataclass
from typing import Protocol

from burnish.sandbox.verdict import Status


@dataclass(frozen=True, kw_only=True)
class Match:
    """Accepted, presentation error, wrong answer or (a checker program failed) infrastructure."""

    status: Status
    reason: str = ""


class Comparator(Protocol):
    """Compares outputs. Deterministic; raises nothing on any text.

    Bytes of an output that are no UTF-8 come as lone surrogates, which equal no character.
    """

    def compare(self, output: str, expected: str, stdin: str) -> Match:
        """Say whether `output` answers `stdin` as `expected` does."""
        ...


SPACE = " \t\n\v\f\r"  # ASCII's white space, as C's `isspace` has it

ACCEPTED = Match(status=Status.ACCEPTED)


def wrong(reason: str) -> Match:
    """A wrong answer, with the place of the first difference."""
    return Match(status=Status.WRONG_ANSWER, reason=reason)


def words(text: str) -> list[str]:
    """The words between ASCII white space; a no-break space belongs to its word."""
    return [word for word in re.split(f"[{SPACE}]+", text) if word]


def first_difference(output: list[str], expected: list[str], unit: str) -> str:
    """Where two lists first differ, as a sentence that shows only that place."""
    for i, (ours, theirs) in enumerate(zip(output, expected, strict=False), start=1):
        if ours != theirs:
            return f"{unit} {i} is {shortened(ours)}, not {shortened(theirs)}"
    return f"{len(output)} {unit}s instead of {len(expected)}"


def shortened(text: str, limit: int = 60) -> str:
    """A text shortened to fit into a sentence."""
    return repr(text if len(text) <= limit else text[: limit - 3] + "...")
