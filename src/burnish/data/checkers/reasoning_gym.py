"""`reasoning-gym`: the scorer of the data set that made the task, and nothing of our own."""

import json
from dataclasses import dataclass
from typing import Any

from burnish.contracts.task import Judgement, Task, Verdict
from burnish.data.answers import final_number, stated_answer
from burnish.data.checkers import checkers
from burnish.data.grammar import is_harmless
from burnish.data.gym import scorer, thaw
from burnish.data.numbers import read_number


@checkers.register("reasoning-gym")
@dataclass(frozen=True, kw_only=True)
class ReasoningGymChecker:
    """Right exactly when reasoning-gym scores the extracted answer 1.0.

    Where the reference is a number, the final number is extracted (`number`'s rules), else what
    the text states (`exact`'s rules). `metadata` holds `dataset`, `options` and the frozen `entry`
    as `ReasoningGymSource` writes them. A scorer that raises leaves the answer `unscored`.
    Source: reasoning-gym (Stojanovski et al. 2025, arXiv 2505.24760), `score_answer`.
    Departure: partial scores count as wrong; texts that a scorer would run as a program and that
    are outside `burnish.data.grammar` are `unparsable`.
    Oracle: tests/data/test_checkers.py::test_gym_references_are_right_after_a_json_round_trip
    """

    def check(self, text: str, task: Task) -> Judgement:
        """Judge with the data set's own scorer."""
        answer = _extract(text, task.answer)
        if answer is None:
            return Judgement(verdict=Verdict.UNPARSABLE, reason="the text states no answer")
        if not is_harmless(str(task.metadata.get("dataset")), answer):
            reason = "the answer does not have the form that this scorer evaluates"
            return Judgement(verdict=Verdict.UNPARSABLE, extracted=answer, reason=reason)
        try:
            score = float(_score(answer, task))
        except Exception as error:  # whatever a foreign scorer raises: never counted as wrong
            reason = f"reasoning-gym's scorer failed: {type(error).__name__}: {error}"
            return Judgement(verdict=Verdict.UNSCORED, extracted=answer, reason=reason)
        verdict = Verdict.RIGHT if score == 1.0 else Verdict.WRONG
        return Judgement(verdict=verdict, extracted=answer, reason=f"score {score:g}")


def _extract(text: str, reference: str) -> str | None:
    if read_number(reference) is None:
        return stated_answer(text) or None
    number = final_number(text)
    return number.text if number is not None and number.value is not None else None


def _score(answer: str, task: Task) -> Any:
    options = json.dumps(dict(task.metadata["options"]), sort_keys=True)
    entry = {"question": task.prompt, **thaw(task.metadata["entry"])}
    return scorer(task.metadata["dataset"], options)(answer, entry)
