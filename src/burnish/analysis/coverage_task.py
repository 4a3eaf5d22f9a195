"""What the coverage tools of all languages share: the task, its bounds, and how they fail."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from burnish.analysis.deadline import Deadline
from burnish.sandbox.classify import reason_of
from burnish.sandbox.job import Limits, Outcome
from burnish.sandbox.languages import find_language
from burnish.sandbox.languages.language import MissingToolChain, ToolChain
from burnish.sandbox.program import Program, encode, find_chain, job_of, prepare
from burnish.sandbox.running import run_job

Known = Mapping[int, bool]  # line -> whether it was reached; lines the tool is silent on are absent


class NotMeasured(Exception):
    """Why a tool has no answer at all; the lines of our own tracer stand then."""


@dataclass(frozen=True, kw_only=True)
class CoverageTask:
    """What is to be measured: a program, the lines in question, its inputs, and the bounds."""

    code: str
    language: str
    lines: Sequence[int]
    stdins: Sequence[str]
    limits: Limits | None
    isolation: str
    deadline: Deadline


def chain_of(language: str) -> ToolChain:
    """The tool chain of a language. Raises: NotMeasured."""
    chain = find_chain(find_language(language))
    if isinstance(chain, MissingToolChain):
        raise NotMeasured(chain.reason)
    return chain


def bounded(task: CoverageTask, limits: Limits) -> Limits:
    """The limits, within what is left of the deadline. Raises: NotMeasured, after it."""
    if task.deadline.passed:
        raise NotMeasured("the deadline has passed")
    return task.deadline.bounded(limits)


def ended_well(outcome: Outcome) -> Outcome:
    """The outcome of a step that must not fail. Raises: NotMeasured, with what it said."""
    if not outcome.ok:
        raise _failed(outcome)
    return outcome


def prepared(code: str, task: CoverageTask) -> Program:
    """The compiled program. Raises: NotMeasured, where it does not compile."""
    found, left_s = find_language(task.language), task.deadline.left_s
    program = prepare(code, found, isolation=task.isolation, deadline_s=left_s)
    if isinstance(program, MissingToolChain):
        raise NotMeasured(program.reason)
    if isinstance(program, Outcome):
        raise _failed(program)
    return program


def runs(program: Program, task: CoverageTask) -> list[Outcome]:
    """One run for each input, whose reports come back. Raises: NotMeasured, after the deadline."""
    outcomes = []
    for stdin in task.stdins:
        limits = bounded(task, task.limits or Limits())
        job = dataclasses.replace(job_of(program, stdin=encode(stdin), limits=limits), report=True)
        outcomes.append(run_job(job, isolation=task.isolation))
    return outcomes


def _failed(outcome: Outcome) -> NotMeasured:
    said = (outcome.stderr + outcome.stdout).decode("utf-8", "replace").strip()[:200]
    return NotMeasured(f"failed: {said or reason_of(outcome)}")
