"""Analysis by a language model: what it changes counts only if the tests still pass."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from burnish.analysis.prompts import refine_prompt, translate_prompt
from burnish.analysis.schema import Analysis
from burnish.sandbox.feedback import correct_prompt, extract_code
from burnish.sandbox.judging import Judged, judge
from burnish.sandbox.problem import Problem
from burnish.sandbox.verdict import Status

Ask = Callable[[str], str]


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A program that a model proposed. `kept` is True only where every test accepts it.

    `code` is the program to go on with: the proposal if it is kept, else the one before.
    """

    kept: bool
    code: str
    proposed: str
    answer: str
    judged: Judged
    reason: str


def refine(
    statement: str, problem: Problem, analysis: Analysis, ask: Ask, *, isolation: str = "auto"
) -> Proposal:
    """Let a model refine a program by what the analysis suggests, and run the tests again.

    Source: MPLSandbox, arXiv 2410.23074, supplement section 6. Departure: the gate, because the
    refinement that the paper prints in Fig. 7 changes what the program does.
    Oracle: tests/analysis/test_advise.py::test_the_papers_own_refinement_is_refused
    """
    prompt = refine_prompt(statement, problem.code, analysis)
    return gated(ask(prompt), problem, isolation=isolation)


def correct(
    statement: str, problem: Problem, judged: Judged, ask: Ask, *, isolation: str = "auto"
) -> Proposal:
    """Let a model correct a program by what the judge said of it."""
    return gated(ask(correct_prompt(statement, problem.code, judged)), problem, isolation=isolation)


def translate(
    statement: str, problem: Problem, analysis: Analysis, ask: Ask, *, target: str
) -> Proposal:
    """Let a model translate a program to the language `target`."""
    prompt = translate_prompt(statement, problem.code, analysis, target=target, tests=problem.tests)
    return gated(ask(prompt), dataclasses.replace(problem, language=target))


def gated(answer: str, problem: Problem, *, isolation: str = "auto") -> Proposal:
    """What a model's answer proposes, kept only if all tests of the problem accept it."""
    proposed = extract_code(answer, problem.language)
    judged = judge(dataclasses.replace(problem, code=proposed), isolation=isolation)
    kept = judged.verdict is Status.ACCEPTED
    reason = "all tests pass" if kept else f"{judged.verdict}: {judged.reason}"
    return Proposal(
        kept=kept, code=proposed if kept else problem.code, proposed=proposed, answer=answer,
        judged=judged, reason=reason,
    )  # fmt: skip


def correct_repeatedly(
    statement: str, problem: Problem, ask: Ask, *, num_rounds: int = 3, isolation: str = "auto"
) -> Sequence[Proposal]:
    """Correct up to `num_rounds` times, each time from the newest failing program."""
    proposals: list[Proposal] = []
    judged = judge(problem, isolation=isolation)
    while judged.verdict is not Status.ACCEPTED and len(proposals) < num_rounds:
        proposal = correct(statement, problem, judged, ask, isolation=isolation)
        proposals.append(proposal)
        problem = dataclasses.replace(problem, code=proposal.proposed)
        judged = proposal.judged
    return proposals
