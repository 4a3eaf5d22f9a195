"""`exact`: the stated answer is the reference, letter by letter."""

from dataclasses import dataclass

from burnish.contracts.task import Judgement, Task, Verdict
from burnish.data.answers import stated_answer
from burnish.data.checkers import checkers


@checkers.register("exact")
@dataclass(frozen=True, kw_only=True)
class ExactChecker:
    """Compares strings: what the text states as its answer, and the reference.

    `ignore_case` folds case; `ignore_space` makes every run of white space one space.
    Surrounding white space never counts.
    Source: ours.
    Oracle: tests/data/test_checkers.py::test_exact_agrees_with_planted_truth
    """

    ignore_case: bool = False
    ignore_space: bool = False

    def check(self, text: str, task: Task) -> Judgement:
        """Judge what is in the `<answer>` tag, after `Answer:`, or else the whole text."""
        stated = stated_answer(text)
        if not stated:
            return Judgement(verdict=Verdict.UNPARSABLE, reason="the text states no answer")
        right = self._normalise(stated) == self._normalise(task.answer)
        return Judgement(verdict=Verdict.RIGHT if right else Verdict.WRONG, extracted=stated)

    def _normalise(self, text: str) -> str:
        text = " ".join(text.split()) if self.ignore_space else text.strip()
        return text.casefold() if self.ignore_case else text
