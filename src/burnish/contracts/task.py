"""A task that a program can check: prompt, reference answer, checker, group."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


class Verdict(enum.StrEnum):
    """A checker's verdict on one answer; a closed set in which failure is a value of its own."""

    RIGHT = "right"
    WRONG = "wrong"
    UNPARSABLE = "unparsable"  # no final answer could be found in the text
    UNSCORED = "unscored"  # the checker itself failed; never counted as wrong


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A verdict, with the final answer that was parsed from the text (None: none found)."""

    verdict: Verdict
    extracted: str | None = None
    reason: str = ""


class Checker(Protocol):
    """Decides whether a text answers a task. Deterministic; raises nothing on any text."""

    def check(self, text: str, task: "Task") -> Judgement:
        """Judge the model's whole answer text."""
        ...


@dataclass(frozen=True, kw_only=True)
class Task:
    """One prompt whose answer a program can check.

    `id` is a content hash (prompt and answer), so equal tasks have equal ids whatever file or
    seed they came from. `checker` is a spec of `burnish.data.checkers`. `group` names the
    family for per-group accuracy. `metadata` are values that the checker may need, JSON only.
    """

    id: str
    prompt: str
    answer: str
    group: str
    checker: str
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
