"""`unordered`: the same lines in any order; how often each stands counts."""

from collections import Counter
from dataclasses import dataclass

from burnish.sandbox.comparators import comparators
from burnish.sandbox.comparators.comparator import ACCEPTED, Match, shortened, words, wrong


@comparators.register("unordered")
@dataclass(frozen=True, kw_only=True)
class UnorderedComparator:
    """Compares multisets of lines; with `words`, the order inside a line is free as well.

    Source: ours. Oracle: tests/sandbox/test_comparators.py::test_planted_truth
    """

    words: bool = False

    def compare(self, output: str, expected: str, stdin: str) -> Match:
        """Compare the counts of lines."""
        ours, theirs = self._count(output), self._count(expected)
        if ours == theirs:
            return ACCEPTED
        missing, extra = theirs - ours, ours - theirs
        if missing:
            return wrong(f"the line {shortened(' '.join(next(iter(missing))))} is missing")
        return wrong(f"the line {shortened(' '.join(next(iter(extra))))} is too much")

    def _count(self, text: str) -> Counter[tuple[str, ...]]:
        lines = [found for line in text.split("\n") if (found := words(line))]
        return Counter(tuple(sorted(line) if self.words else line) for line in lines)
