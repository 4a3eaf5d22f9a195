"""Quality of answers: tests from the row's own text are run, and counted in a posterior."""

import ast
import doctest
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from burnish.contracts.executor import Executor, RunState, Trial
from burnish.curate.posterior import posterior
from burnish.curate.programs import Definitions, program_of
from burnish.curate.samples import Sample

DOCSTRING_END = re.compile(r"^[ \t]*(?:\"\"\"|''')", re.MULTILINE)
MARK = r"==|=>|->|→|returns?|should return|#\s*(?:=>|->|Output:?|returns)?"
CALL = re.compile(rf"\b([A-Za-z_]\w*\((?:[^()\n]|\([^()\n]*\))*\))`?\s*(?:{MARK})\s*`?")
ENDS = re.compile(r"[.,;:`)]?(?:\s|$)|`")  # where a written value may end
ASSERT = re.compile(r"^\s*assert\s+.+$", re.MULTILINE)


@dataclass(frozen=True)
class Quality:
    """The quality of an answer by tests. `value` is the posterior chance that it is right.

    `state` is `executable`, or why there is no value: `not_executable` (no Python function in it),
    `no_tests`, `unscored` (the machine failed). `value` is None there, never 0.
    """

    state: str
    passed: int = 0
    total: int = 0
    value: float | None = None


def row_tests(sample: Sample, most: int = 12) -> list[str]:
    """Asserts found in a row: doctests, asserts in its text, and examples such as `f(1) -> 2`.

    Source: ours; the paper asks a tuned model for twelve test cases.
    Oracle: tests/curate/test_quality.py::test_tests_are_read_from_texts
    """
    found: list[str] = []
    texts = [sample.question, sample.answer]
    for text in texts:
        found += _doctests(text)
    found += [m[0].strip() for text in texts for m in ASSERT.finditer(text)]
    found += [x for text in texts for line in text.splitlines() for x in _examples(line)]
    good = [test for test in dict.fromkeys(found) if is_test(test)]
    return good[:most]


def _doctests(text: str) -> list[str]:
    try:
        examples = doctest.DocTestParser().get_examples(text)
    except ValueError:
        return []
    found = []
    for example in examples:
        source, want = example.source.strip(), DOCSTRING_END.split(example.want)[0].strip()
        if want and "\n" not in source and _value(want):
            found.append(f"assert {source} == {want}")
    return found


def _examples(line: str) -> list[str]:
    """Asserts of the calls in a line that are followed by their value."""
    found = []
    for match in CALL.finditer(line):
        rest = line[match.end() :].rstrip(" .")
        ends = sorted({m.start() for m in ENDS.finditer(rest)} | {len(rest)}, reverse=True)
        want = next((rest[:end].strip() for end in ends if _value(rest[:end].strip())), "")
        if want:
            found.append(f"assert {match[1]} == {want}")
    return found


def _value(text: str) -> bool:
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False
    return True


def is_test(text: str) -> bool:
    """Whether a line is Python that calls something."""
    try:
        tree = ast.parse(text)
    except (ValueError, SyntaxError, RecursionError):
        return False
    return any(isinstance(n, ast.Call) for n in ast.walk(tree))


class TestSource(Protocol):
    """Where the tests of answers come from."""

    def of(
        self, samples: Sequence[Sample], programs: Sequence[Definitions | None], most: int
    ) -> list[list[str]]:
        """Tests of every sample; none for one without a program."""
        ...


@dataclass(frozen=True, kw_only=True)
class RowTests:
    """Doctests, asserts and written examples of the row itself."""

    def of(
        self, samples: Sequence[Sample], programs: Sequence[Definitions | None], most: int
    ) -> list[list[str]]:
        """Tests of every sample; none for one without a program."""
        pairs = zip(samples, programs, strict=True)
        return [row_tests(sample, most) if program else [] for sample, program in pairs]


def measure_quality(
    samples: Sequence[Sample],
    executor: Executor,
    *,
    max_tests: int = 12,
    source: TestSource | None = None,
) -> list[Quality]:
    """Quality of every row by the tests of `source` (the row's own); each is a trial of its own.

    Source: XCoder, arXiv 2409.03810, section 3.2: the number of passed tests.
    Departure: a posterior in place of the count, and rows that cannot be run have a state.
    Oracle: tests/curate/test_quality.py::test_states_of_rows
    """
    programs = [program_of(sample) for sample in samples]
    tests = (source or RowTests()).of(samples, programs, max_tests)
    plan = [
        (row, Trial(code=program.code, asserts=test))
        for row, (program, some) in enumerate(zip(programs, tests, strict=True))
        if program is not None
        for test in some
        if calls_own(test, program)
    ]
    results = executor.run([trial for _, trial in plan])
    states: list[list[RunState]] = [[] for _ in samples]
    for (row, _), result in zip(plan, results, strict=True):
        states[row].append(result.state)
    return [
        Quality("not_executable") if program is None else quality_of(some)
        for program, some in zip(programs, states, strict=True)
    ]


def calls_own(test: str, program: Definitions) -> bool:
    """Whether a test calls a function that the program defines."""
    names = {n.id for n in ast.walk(ast.parse(test)) if isinstance(n, ast.Name)}
    return bool(names & set(program.functions))


def quality_of(states: Sequence[RunState]) -> Quality:
    """The quality of a program from the states of its tests."""
    if not states:
        return Quality("no_tests")
    known = [s for s in states if s in (RunState.PASSED, RunState.FAILED)]
    if not known:
        return Quality("unscored")
    passed = sum(state is RunState.PASSED for state in known)
    value = posterior(np.array([float(passed)]), np.array([float(len(known))]))
    return Quality("executable", passed, len(known), float(value[0]))
