"""Judge code by its tests: `judge(problem) -> Judged`."""

import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from burnish.sandbox.comparators import parse_comparator
from burnish.sandbox.job import Attestation
from burnish.sandbox.languages import find_language, languages
from burnish.sandbox.languages.language import MissingToolChain
from burnish.sandbox.problem import AssertTest, Problem, check_asserts
from burnish.sandbox.program import find_chain
from burnish.sandbox.reward import RewardScheme
from burnish.sandbox.testing import TestResult, run_test
from burnish.sandbox.verdict import Status, worst


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The verdict over all tests; `reward` is None where the machine failed.

    `attestation` is that of the test with the most limits that nothing enforced.
    """

    verdict: Status
    passed: int
    total: int
    reward: float | None
    tests: tuple[TestResult, ...]
    language: str
    reason: str = ""
    attestation: Attestation | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON, as `burnish sandbox judge` prints it."""
        tests = [{k: v for k, v in vars(t).items() if k != "attestation"} for t in self.tests]
        attested = self.attestation.to_dict() if self.attestation else {}
        return {**vars(self), "tests": tests, "attestation": attested}


def judge(
    problem: Problem,
    *,
    isolation: str = "auto",
    num_workers: int = 1,
    rewards: RewardScheme | None = None,
) -> Judged:
    """Compile once, run every test, and return the worst verdict.

    Neither the order of the tests nor `num_workers` changes the result.
    Raises: IsolationError; UnknownNameError or SettingError, for the language or the comparator;
    InputError, for asserts that check nothing.
    Source: MPLSandbox, arXiv 2410.23074, section on the sandbox environment (reconstruction: its
    text could not be read in full). Departure: exit codes and signals decide, never texts.
    Oracle: tests/sandbox/test_judging.py::test_planted_verdicts
    """
    language = find_language(problem.language)
    parse_comparator(problem.comparator)  # a misspelt name is found before anything runs
    name, tests = languages.name_of(language), problem.tests
    check_asserts(tests, name)
    chain = find_chain(language)
    if isinstance(chain, MissingToolChain):
        result = TestResult(status=Status.INFRASTRUCTURE_ERROR, reason=chain.reason)
        return combine([result] * len(tests), name, rewards=rewards)
    one = functools.partial(run_test, problem=problem, language=language, isolation=isolation)
    first = one(tests[0])  # compiles; the others find the program in the cache
    if first.status is Status.COMPILE_ERROR and not _appended(problem, name):
        return combine([first] * len(tests), name, rewards=rewards)
    if num_workers == 1:
        return combine([first, *map(one, tests[1:])], name, rewards=rewards)
    with ThreadPoolExecutor(num_workers) as pool:
        results = [first, *pool.map(one, tests[1:])]
    return combine(results, name, rewards=rewards)


def judge_many(
    problems: Sequence[Problem], *, isolation: str = "auto", num_workers: int = 1
) -> list[Judged]:
    """Judge problems in parallel; results keep the order of the problems."""
    with ThreadPoolExecutor(num_workers) as pool:
        return list(pool.map(lambda problem: judge(problem, isolation=isolation), problems))


def combine(
    results: Sequence[TestResult], language: str, *, rewards: RewardScheme | None = None
) -> Judged:
    """The overall verdict on the results of all tests."""
    statuses = [result.status for result in results]
    verdict = worst(statuses)
    attested = [r.attestation for r in results if r.attestation is not None]
    reasons = sorted(r.reason for r in results if r.status is verdict and r.reason)
    return Judged(
        verdict=verdict,
        passed=statuses.count(Status.ACCEPTED),
        total=len(results),
        reward=(rewards or RewardScheme()).of_tests(statuses),
        tests=tuple(results),
        language=language,
        reason=reasons[0] if reasons else "",
        attestation=max(attested, key=lambda a: len(a.missing), default=None),
    )


def _appended(problem: Problem, language: str) -> bool:
    """Whether tests differ in the program itself: asserts that stand behind the code."""
    return language != "python" and any(isinstance(t, AssertTest) for t in problem.tests)
