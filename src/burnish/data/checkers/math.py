"""`math`: the stated answer equals the reference as mathematics, whatever form either has."""

from dataclasses import dataclass

from burnish.contracts.task import Judgement, Task, Verdict
from burnish.data.checkers import checkers
from burnish.data.math.grade import RIGHT, UNREADABLE, WRONG, grade

_VERDICTS = {RIGHT: Verdict.RIGHT, WRONG: Verdict.WRONG, UNREADABLE: Verdict.UNPARSABLE}


@checkers.register("math")
@dataclass(frozen=True, kw_only=True)
class MathChecker:
    """Compares typed answers: numbers, quantities, sets, tuples, intervals, equations, text.

    `tolerance` (relative), where it is not 0, lets numbers differ so much; the default is exact.
    A reference that cannot be read, and a symbolic worker that was stopped, are `unscored`.
    Source: ours.
    Oracle: tests/data/test_grade.py::test_the_case_files
    """

    tolerance: float = 0.0

    def check(self, text: str, task: Task) -> Judgement:
        """Judge the answer that `text` states."""
        found = grade(task.answer, text, tolerance=self.tolerance or None)
        verdict = _VERDICTS.get(found.verdict, Verdict.UNSCORED)
        return Judgement(verdict=verdict, extracted=found.span, reason=found.reason)
