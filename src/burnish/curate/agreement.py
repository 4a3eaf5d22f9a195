"""Quality by agreement: answers to the same question test each other on the same inputs."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from pathlib import Path

from burnish.contracts.executor import Executor, RunState, Trial
from burnish.curate.pool import PoolReport, read_pool
from burnish.curate.programs import Definitions, program_of
from burnish.curate.quality import Quality, quality_of, row_tests
from burnish.curate.quality_tests import call_of
from burnish.curate.samples import Sample
from burnish.curate.tokens import plain

MAX_ANSWERS = 8  # to one question that test each other
MAX_TURNS = 64  # groups whose trials are handed to the executor at a time
CHECK = """\
_one, _other = {}, {}
exec(CODES[0], _one)
exec(CODES[1], _other)
"""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer that runs: the row, its program and the function that answers the question."""

    row: int
    program: Definitions
    entry: str
    inputs: tuple[str, ...]


def measure_agreement(
    pool: Path | str, executor: Executor, *, max_tests: int = 12
) -> dict[int, Quality]:
    """Quality, by row number from 0, of the rows whose question another runnable answer shares.

    On each input that the texts name, an answer passes if it returns what more than half of the
    answers return, of those that return anything. An input without such a majority is no test, so
    two answers that disagree say nothing. The pool is read twice; only the programs of shared
    questions are held.
    Source: self-consistency (arXiv 2203.11171), of programs as in CodeT (arXiv 2207.10397).
    Oracle: tests/curate/test_agreement.py::test_majorities_on_planted_answers
    """
    found: dict[int, Quality] = {}
    groups = [some for some in _groups(pool) if len(some) > 1]
    for start in range(0, len(groups), MAX_TURNS):
        found |= _measured(groups[start : start + MAX_TURNS], executor, max_tests)
    return found


def _groups(pool: Path | str) -> list[list[Answer]]:
    """Answers by question, for the questions that several rows ask."""
    asked: dict[int, list[int]] = defaultdict(list)
    for row, sample in enumerate(read_pool(pool, PoolReport())):
        if not sample.is_empty:
            asked[hash(plain(sample.question))].append(row)
    wanted = {row for rows in asked.values() if len(rows) > 1 for row in rows}
    by_question: dict[tuple[str, int], list[Answer]] = defaultdict(list)
    for row, sample in enumerate(read_pool(pool, PoolReport()) if wanted else ()):
        if row in wanted and (program := program_of(sample)) is not None:
            answer = _answer(row, sample, program)
            arity = program.functions[answer.entry][1]
            by_question[plain(sample.question), arity].append(answer)
    return [some[:MAX_ANSWERS] for some in by_question.values()]


def _answer(row: int, sample: Sample, program: Definitions) -> Answer:
    """The function is the one that the row's tests call, else the last that is defined."""
    tests = row_tests(sample, 48)
    calls = [(name, call) for test in tests for name in program.functions
             if (call := call_of(test, [name]))]  # fmt: skip
    entry = calls[0][0] if calls else list(program.functions)[-1]
    inputs = dict.fromkeys(call for name, call in calls if name == entry)
    return Answer(row=row, program=program, entry=entry, inputs=tuple(inputs))


def _measured(
    groups: Sequence[Sequence[Answer]], executor: Executor, max_tests: int
) -> dict[int, Quality]:
    plan: dict[tuple[int, int, int, str], Trial] = {}
    for number, group in enumerate(groups):
        inputs = list(dict.fromkeys(text for answer in group for text in answer.inputs))
        for text in inputs[:max_tests]:
            for i, j in combinations_with_replacement(range(len(group)), 2):
                plan[number, i, j, text] = _trial(group[i], group[j], text)
    results = executor.run(list(plan.values()))
    states = {key: found.state for key, found in zip(plan, results, strict=True)}
    found: dict[int, Quality] = {}
    for number, group in enumerate(groups):
        own = {key[1:]: state for key, state in states.items() if key[0] == number}
        judged = _judged(len(group), own)
        found |= {a.row: quality_of(some) for a, some in zip(group, judged, strict=True)}
    return found


def _trial(one: Answer, other: Answer, inputs: str) -> Trial:
    """Whether both answers return the same; one that raises does not even agree with itself."""
    code = f"CODES = {[one.program.code, other.program.code]!r}\n{CHECK}"
    test = f"assert _one[{one.entry!r}]({inputs}) == _other[{other.entry!r}]({inputs})"
    return Trial(code=code, asserts=test)


def _judged(num: int, states: Mapping[tuple[int, int, str], RunState]) -> list[list[RunState]]:
    """The states of every answer, on the inputs with a majority."""
    known: list[list[RunState]] = [[] for _ in range(num)]
    for text in dict.fromkeys(key[2] for key in states):
        pairs = {key[:2]: state for key, state in states.items() if key[2] == text}
        if any(state not in (RunState.PASSED, RunState.FAILED) for state in pairs.values()):
            for some in known:
                some.append(RunState.UNSCORED)
            continue
        returns = [i for i in range(num) if _agree(pairs, i, i)]
        same = [[j for j in returns if _agree(pairs, i, j)] for i in returns]
        largest = max(same, key=len, default=[])
        if len(largest) > 1 and 2 * len(largest) > len(returns):
            for i, some in enumerate(known):
                some.append(RunState.PASSED if i in largest else RunState.FAILED)
    return known


def _agree(pairs: Mapping[tuple[int, int], RunState], i: int, j: int) -> bool:
    return pairs[min(i, j), max(i, j)] is RunState.PASSED
