"""Prompts for actor and critic, in the full form for language models or in the compact form."""

from dataclasses import dataclass
from typing import Literal

from burnish.critique.grammar import Form


@dataclass(frozen=True, kw_only=True)
class Wording:
    """Prompts of the critic and of the refiner.

    Both begin with the same text, problem and solution, so that a server that caches prefixes
    reads them once where one model plays both.
    Source: WooooDyy/MathCritique's instructions, in our own words; the compact form is ours.
    Oracle: tests/critique/test_wording.py::test_both_prompts_begin_with_problem_and_solution
    """

    form: Form = "full"
    mode: Literal["first_error", "full"] = "first_error"

    def critique_prompt(self, problem: str, solution: str) -> str:
        """Asks for a critique of a solution."""
        if self.form == "compact":
            return f"{problem}\n{solution}\ncheck"
        stop = " Stop after the first wrong step." if self.mode == "first_error" else ""
        return self._shown(problem, solution) + (
            f"Check the steps one by one.{stop} For each step write three lines, 'Step "
            "sentence: ' with the step, 'Correctness of the step: ' with Correct or Wrong, "
            "and 'Explanation: '. End with 'Correctness of the final answer: ' and 'Explanation: '."
        )

    def refine_prompt(self, problem: str, solution: str, critique: str) -> str:
        """Asks for a new solution, with the critique available."""
        if self.form == "compact":
            return f"{problem}\n{solution}\ncheck\n{critique}\nagain"
        return self._shown(problem, solution) + (
            f"Here is a critique of it, step by step.\n\n{critique}\n\nUse the critique as a "
            "reference, and write a new solution that ends with the answer."
        )

    def _shown(self, problem: str, solution: str) -> str:
        """The beginning of both prompts in the full form."""
        return f"{problem}\n\nHere is a solution; each line is a step.\n\n{solution}\n\n"

    def solution_in(self, prompt: str, problem: str) -> str:
        """The solution in a critic's prompt: the inverse of `critique_prompt`."""
        begin, end = self.critique_prompt(problem, "\0").split("\0")
        return prompt.removeprefix(begin).removesuffix(end)
