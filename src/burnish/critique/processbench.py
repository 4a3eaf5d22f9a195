"""ProcessBench's format: problems, steps, and the index of the earliest wrong step."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from burnish.base.errors import InputError
from burnish.base.records import read_records, write_records
from burnish.contracts.task import Task
from burnish.critique.grammar import steps_of
from burnish.critique.triples import Solution
from burnish.data.tasks import make_task

KEYS = ("id", "problem", "steps", "final_answer_correct", "label")


def write_processbench(path: Path, solutions: Iterable[Solution]) -> int:
    """Write solutions whose first error is known; returns how many there were.

    Source: ProcessBench (Zheng et al. 2024, arXiv 2412.06559): `label` is -1 or an index from 0.
    Oracle: tests/critique/test_processbench.py::test_read_is_the_inverse_of_write
    """
    rows = [
        _row(number, one) for number, one in enumerate(solutions) if one.first_error is not None
    ]
    write_records(path, rows)
    return len(rows)


def _row(number: int, solution: Solution) -> dict[str, Any]:
    return {
        "id": f"{solution.task.group}-{number}",
        "generator": solution.origin,
        "problem": solution.task.prompt,
        "steps": steps_of(solution.text),
        "final_answer_correct": solution.right,
        "label": solution.first_error,
        "answer": solution.task.answer,
    }


def read_processbench(path: Path) -> list[Solution]:
    """The solutions of a file. Raises: InputError, naming the row."""
    return [_solution(number, row) for number, row in enumerate(read_records(path), 1)]


def _solution(number: int, row: Mapping[str, Any]) -> Solution:
    missing = [key for key in KEYS if key not in row]
    if missing:
        remedy = "Give each row id, problem, steps, final_answer_correct and label"
        raise InputError(f"row {number}", sorted(row), f"has no {missing[0]}", remedy=remedy)
    steps: Any = row["steps"]
    label: Any = row["label"]
    is_list = isinstance(steps, Sequence) and not isinstance(steps, str)
    if not is_list or not all(isinstance(step, str) for step in steps):
        raise InputError(
            f"steps of row {number}", steps, "must be a list of texts", remedy="Correct it"
        )
    if not isinstance(label, int) or not -1 <= label < max(1, len(steps)):
        rule = f"must lie in [-1, {len(steps)})"
        raise InputError(f"label of row {number}", label, rule, remedy="-1 is no error")
    return Solution(
        task=_task(row),
        text="\n".join(steps),
        right=bool(row["final_answer_correct"]),
        origin=str(row.get("generator", "file")),
        first_error=label,
    )


def _task(row: Mapping[str, Any]) -> Task:
    answer = str(row.get("answer") or "unknown")
    return make_task(row["problem"], answer, group=str(row["id"]).rpartition("-")[0] or "file")
