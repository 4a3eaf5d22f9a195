"""`token`: the same words in the same order, whatever white space parts them."""

from dataclasses import dataclass

from burnish.sandbox.comparators import comparators
from burnish.sandbox.comparators.comparator import ACCEPTED, Match, first_difference, words, wrong


@comparators.register("token")
@dataclass(frozen=True, kw_only=True)
class TokenComparator:
    """Compares words; "1 2" is not "12".

    Source: ours, as testlib's `wcmp`. Oracle: tests/sandbox/test_comparators.py::test_planted_truth
    """

    ignore_case: bool = False

    def compare(self, output: str, expected: str, stdin: str) -> Match:
        """Compare word by word."""
        texts = [t.casefold() if self.ignore_case else t for t in (output, expected)]
        ours, theirs = (words(text) for text in texts)
        return ACCEPTED if ours == theirs else wrong(first_difference(ours, theirs, "token"))
