"""`exact`: the same lines. White space at line ends and empty lines at the end do not count."""

from dataclasses import dataclass

from burnish.sandbox.comparators import comparators
from burnish.sandbox.comparators.comparator import (
    ACCEPTED,
    SPACE,
    Match,
    first_difference,
    words,
    wrong,
)
from burnish.sandbox.verdict import Status


@comparators.register("exact")
@dataclass(frozen=True, kw_only=True)
class ExactComparator:
    """Compares lines; the right tokens in the wrong places are a presentation error.

    With `strict` every byte counts, and what differs in white space alone is a presentation error.
    Source: ours, after the habits of ICPC judges.
    Oracle: tests/sandbox/test_comparators.py::test_planted_truth
    """

    strict: bool = False

    def compare(self, output: str, expected: str, stdin: str) -> Match:
        """Compare line by line."""
        ours, theirs = (text if self.strict else _lines(text) for text in (output, expected))
        if ours == theirs:
            return ACCEPTED
        if words(output) == words(expected):
            return Match(status=Status.PRESENTATION_ERROR, reason="only the white space differs")
        return wrong(first_difference(_lines(output), _lines(expected), "line"))


def _lines(text: str) -> list[str]:
    lines = [line.rstrip(SPACE) for line in text.replace("\r\n", "\n").split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines
