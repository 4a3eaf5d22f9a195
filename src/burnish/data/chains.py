"""Chains of sums: multi-step tasks whose every step a program can verify.

A task is `17+25-9=`; its worked answer has one line a move (`17+25=42`, `42-9=33`) and ends in
`#### 33`. With labels each move has a letter, which its line repeats: `17a+25b-9=` and
`17a+25=42`, `42b-9=33`. An error that is planted at a line has a named type, and what follows is
computed again from the wrong value, so the first wrong line is known exactly.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from burnish.base.errors import InputError
from burnish.contracts.task import Task
from burnish.data.tasks import make_task

FAMILY = "chain"
KINDS = ("calculation", "copy", "operand", "sign", "skipped")
NO_ERROR = -1
LABELS = "abcdefghijklmnopqrstuvwxyz"
LINE = re.compile(
    r"\s*(?P<before>-?[0-9]{1,15})\s*(?P<label>[a-z]?)\s*(?P<op>[-+*])\s*(?P<number>[0-9]{1,15})"
    r"\s*=\s*(?P<after>-?[0-9]{1,15})\s*\.?\s*"
)
FINAL = re.compile(r"\s*####\s*(-?[0-9]{1,15})\s*")


@dataclass(frozen=True, kw_only=True)
class Chain:
    """A start and the moves from it; `labels`: each move has a letter, which its line repeats."""

    start: int
    moves: tuple[tuple[str, int], ...]
    labels: bool = False

    def label(self, at: int) -> str:
        """The letter of move `at`, "" without labels."""
        return LABELS[at] if self.labels else ""

    def line(self, at: int, value: int, move: tuple[str, int], after: int) -> str:
        """The text of a line that stands for move `at`."""
        return f"{value}{self.label(at)}{move[0]}{move[1]}={after}"

    @property
    def prompt(self) -> str:
        """The task as text."""
        moves = [f"{self.label(at)}{op}{number}" for at, (op, number) in enumerate(self.moves)]
        return f"{self.start}{''.join(moves)}="

    def steps(self) -> list[str]:
        """The right lines."""
        return continue_chain(self, self.start, 0)

    @property
    def result(self) -> int:
        """The right result."""
        value = self.start
        for op, number in self.moves:
            value = moved(value, op, number)
        return value


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What the program found in an answer.

    `first_error` is the index of the first wrong line, `NO_ERROR` where all are right; `kind` is
    the error's type (`form`: a line that is no step, `label`: the letter of another move,
    `final`: a result other than the last line's). `right` says that lines and result are right.
    """

    steps: tuple[str, ...]
    first_error: int
    kind: str
    right: bool


def moved(value: int, op: str, number: int) -> int:
    """The value after one move."""
    return {"+": value + number, "-": value - number, "*": value * number}[op]


def continue_chain(chain: Chain, value: int, at: int) -> list[str]:
    """The lines from move `at`, where the value is `value`."""
    lines = []
    for index in range(at, len(chain.moves)):
        after = moved(value, *chain.moves[index])
        lines.append(chain.line(index, value, chain.moves[index], after))
        value = after
    return lines


def worked(steps: Sequence[str]) -> str:
    """The answer with these lines, and the result of the last."""
    return "\n".join([*steps, f"#### {steps[-1].rpartition('=')[2]}"])


def draw_chain(
    rng: np.random.Generator, *, num_steps: int, low: int, high: int, distinct: bool = False,
    labels: bool = False,
) -> Chain:  # fmt: skip
    """A chain of sums and differences that never falls below zero; `distinct`: no number twice."""
    deck = list(rng.permutation(np.arange(low, high))) if distinct else []
    start = value = int(deck.pop() if distinct else rng.integers(low, high))
    moves: list[tuple[str, int]] = []
    for _ in range(num_steps):
        number = int(deck.pop() if distinct else rng.integers(low, high))
        op = "-" if rng.random() < 0.5 and number <= value else "+"
        moves.append((op, number))
        value = moved(value, op, number)
    return Chain(start=start, moves=tuple(moves), labels=labels)


def chain_task(chain: Chain) -> Task:
    """The task of a chain; its checker is `number`."""
    facts: dict[str, Any] = {"start": chain.start, "moves": [list(move) for move in chain.moves]}
    metadata = {FAMILY: facts | ({"labels": True} if chain.labels else {})}
    group = f"chain of {len(chain.moves)}"
    return make_task(
        chain.prompt, str(chain.result), group=group, checker="number", metadata=metadata
    )


def chain_of(task: Task) -> Chain | None:
    """The chain of a task; None for any other task. Raises: InputError, where it is malformed."""
    found: Any = task.metadata.get(FAMILY)
    if found is None:
        return None
    try:
        moves = tuple((str(op), int(number)) for op, number in found["moves"])
        labels = bool(found.get("labels", False)) and len(moves) <= len(LABELS)
        return Chain(start=int(found["start"]), moves=moves, labels=labels)
    except (KeyError, TypeError, ValueError):
        rule, remedy = "must contain start and moves", "Make the task with the source chain"
        raise InputError(f"metadata of {task.id}", found, rule, remedy=remedy) from None


def verify(chain: Chain, text: str) -> Verified:
    """The first wrong line of an answer, and whether its result is right.

    Source: ours. Oracle: tests/data/test_chains.py::test_planted_errors_are_found_where_they_are
    """
    lines = [line for line in text.split("\n") if line.strip()]
    final = next((m for line in lines if (m := FINAL.fullmatch(line))), None)
    steps = tuple(line.strip() for line in lines if not line.lstrip().startswith("####"))
    value = chain.start
    for index, step in enumerate(steps):
        kind = _wrong(chain, step, index, value)
        if kind:
            return Verified(steps=steps, first_error=index, kind=kind, right=False)
        value = int(step.rstrip(". ").rpartition("=")[2])
    if len(steps) < len(chain.moves):
        return Verified(steps=steps, first_error=len(steps), kind="skipped", right=False)
    right = final is not None and int(final[1]) == chain.result
    error = NO_ERROR if right else len(steps)
    return Verified(steps=steps, first_error=error, kind="" if right else "final", right=right)


def _wrong(chain: Chain, step: str, index: int, value: int) -> str:
    """The type of the error of a line, "" where it is right."""
    match = LINE.fullmatch(step)
    if match is None or index >= len(chain.moves):
        return "form"
    if bool(match["label"]) != chain.labels:
        return "form"
    before, op, number = int(match["before"]), match["op"], int(match["number"])
    after, label = int(match["after"]), match["label"]
    if before != value:
        return "copy"
    later = list(enumerate(chain.moves))[index + 1 : index + 2]
    if label != chain.label(index):
        named = [(chain.label(at), *move) for at, move in later]
        return "skipped" if (label, op, number) in named else "label"
    if (op, number) != chain.moves[index]:
        if not chain.labels and (op, number) in chain.moves[index + 1 : index + 2]:
            return "skipped"
        return "sign" if number == chain.moves[index][1] else "operand"
    return "" if after == moved(before, op, number) else "calculation"


def plant(chain: Chain, at: int, kind: str, rng: np.random.Generator) -> list[str]:
    """The lines with an error of a type at line `at`, and what follows computed from it.

    A skipped line needs a move behind it that differs. Raises: InputError, for no such type.
    Source: ours. Oracle: tests/data/test_chains.py::test_planted_errors_are_found_where_they_are
    """
    if kind not in KINDS:
        raise InputError("error type", kind, "is not known", remedy=f"Use {', '.join(KINDS)}")
    steps = chain.steps()
    value = int(steps[at - 1].rpartition("=")[2]) if at else chain.start
    op, number = chain.moves[at]
    if kind == "skipped":
        same = chain.moves[at + 1 : at + 2] == ((op, number),) and not chain.labels
        if at + 1 == len(chain.moves) or same:
            return plant(chain, at, "calculation", rng)
        return [*steps[:at], *continue_chain(chain, value, at + 1)]
    off = int(rng.choice([-10, -2, -1, 1, 2, 10]))
    after = moved(value, op, number)
    if kind == "calculation":
        after += off
    elif kind == "copy":
        value += off
        after = moved(value, op, number)
    elif kind == "operand":
        number = number + off if number + off >= 0 else number + 1
        after = moved(value, op, number)
    else:
        op = "-" if op == "+" else "+"
        after = moved(value, op, number)
    line = chain.line(at, value, (op, number), after)
    return [*steps[:at], line, *continue_chain(chain, after, at + 1)]
