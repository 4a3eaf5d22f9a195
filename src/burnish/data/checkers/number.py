"""`number`: the final number of the text equals the reference, exactly."""

from dataclasses import dataclass
from fractions import Fraction

from burnish.contracts.task import Judgement, Task, Verdict
from burnish.data.answers import final_number
from burnish.data.checkers import checkers
from burnish.data.math.statement import find_answer
from burnish.data.math.symbolic import Unresolved
from burnish.data.math.tokens import Unreadable


@checkers.register("number")
@dataclass(frozen=True, kw_only=True)
class NumberChecker:
    """Compares final numbers as exact rationals: 0.50, 1/2 and .5 are one number.

    Nothing is rounded: 0.33 is not 1/3. A text without a number is `unparsable`. A marked answer
    that is one exact expression has its value.
    Source: ours; exact match on the final number, as Cobbe et al. 2021 (arXiv 2110.14168).
    Departure: rationals instead of strings, and finals without `####` are read too.
    Oracle: tests/data/test_checkers.py::test_number_agrees_with_planted_truth
    """

    def check(self, text: str, task: Task) -> Judgement:
        """Judge the final number of `text`; the reference is read by the same rules."""
        reference = final_number(task.answer)
        if reference is None or reference.value is None:
            reason = f"the reference {task.answer!r} has no number"
            return Judgement(verdict=Verdict.UNSCORED, reason=reason)
        found = final_number(text)
        if found is None or found.value is None:
            return Judgement(verdict=Verdict.UNPARSABLE, reason="the text has no number")
        if found.value == reference.value:
            return Judgement(verdict=Verdict.RIGHT, extracted=found.text)
        whole = _marked_value(text)
        if whole is not None and whole != found.value:  # the first number of a larger expression
            verdict = Verdict.RIGHT if whole == reference.value else Verdict.WRONG
            return Judgement(verdict=verdict, extracted=str(whole))
        return Judgement(verdict=Verdict.WRONG, extracted=found.text)


def _marked_value(text: str) -> Fraction | None:
    r"""The value of a marked answer that is one exact expression, such as `2 \times 3`."""
    try:
        stated = find_answer(text)
    except (Unreadable, Unresolved):
        return None
    marked = stated.rule in ("hashes", "box", "tag", "mark")
    return stated.answer.value if marked and stated.answer.kind == "expression" else None
