"""A reward function of programs, called as TRL's trainers call theirs."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from burnish.base.errors import InputError
from burnish.sandbox.feedback import extract_code
from burnish.sandbox.judging import judge_many
from burnish.sandbox.problem import read_problem
from burnish.sandbox.reward import RewardScheme

Completion = str | Sequence[Mapping[str, str]]
COLUMNS = ("tests", "asserts", "comparator", "limits", "packages", "language")


class ProgramReward:
    """`reward_funcs=[ProgramReward()]`: runs each completion's program against its row's tests.

    The data set has a column `tests` (lists of tests as in `burnish sandbox judge`) or `asserts`
    (scripts), and may have `language`, `comparator` and `limits`. The reward is the paper's, and
    None, which trainers leave out of the mean, where the machine failed. A completion without a
    program gets the reward of one that does not compile.
    Source: MPLSandbox, arXiv 2410.23074; TRL's documented signature of reward functions.
    Oracle: tests/sandbox/test_feedback.py::test_rewards_by_hand
    """

    def __init__(
        self,
        *,
        language: str = "python",
        num_workers: int | None = None,
        isolation: str = "auto",
        rewards: RewardScheme | None = None,
    ) -> None:
        self.language, self.isolation = language, isolation
        self.num_workers = num_workers or os.cpu_count() or 1
        self.rewards = rewards or RewardScheme()
        self.__name__ = "program_reward"  # trainers log rewards under it

    def __call__(
        self, prompts: Sequence[Any], completions: Sequence[Completion], **columns: Any
    ) -> list[float | None]:
        """One reward per completion. Raises: InputError, for rows without tests."""
        problems, places = [], []
        rewards: list[float | None] = [self.rewards.not_compiled] * len(completions)
        for i, completion in enumerate(completions):
            row = {k: columns[k][i] for k in COLUMNS if columns.get(k) is not None}
            row = {k: value for k, value in row.items() if value not in (None, "")}
            if not row.get("tests") and not row.get("asserts"):
                remedy = "Give the data set a column 'tests' or 'asserts'"
                raise InputError(f"row {i}", sorted(columns), "has no tests", remedy=remedy)
            language = row.pop("language", self.language)
            code = extract_code(completion_text(completion), language)
            if code.strip():
                given = {**row, "code": code, "language": language}
                problems.append(read_problem(given, name=f"row {i}"))
                places.append(i)
        judged = judge_many(problems, isolation=self.isolation, num_workers=self.num_workers)
        for i, one in zip(places, judged, strict=True):
            rewards[i] = self.rewards.of_tests([test.status for test in one.tests])
        return rewards


def completion_text(completion: Completion) -> str:
    """The text of a completion, which is a text or a conversation whose last turn counts."""
    if isinstance(completion, str):
        return completion
    return str(completion[-1].get("content") or "") if completion else ""
