"""Prompts of critic and refiner."""

import pytest

from burnish.critique import wording
from burnish.critique.wording import Wording

PROBLEM, SOLUTION = "17+25-9=", "17+25=42\n42-9=33\n#### 33"


def check_shared(form):
    words = Wording(form=form)
    critic, refiner = (
        words.critique_prompt(PROBLEM, SOLUTION),
        words.refine_prompt(PROBLEM, SOLUTION, "critique"),
    )
    end = critic.index(SOLUTION) + len(SOLUTION)
    assert critic.startswith(PROBLEM) and critic[:end] == refiner[:end]
    assert words.solution_in(critic, PROBLEM) == SOLUTION


@pytest.mark.parametrize("form", ["full", "compact"])
def test_both_prompts_begin_with_problem_and_solution(form):
    check_shared(form)


def test_planted_prompt_that_begins_in_another_way(monkeypatch):
    real = Wording.refine_prompt
    other = lambda self, *given: "Revise. " + real(self, *given)  # noqa: E731
    monkeypatch.setattr(wording.Wording, "refine_prompt", other)
    with pytest.raises(AssertionError):
        check_shared("full")
