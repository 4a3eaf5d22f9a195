"""ProcessBench's format: problems, steps, and the index of the earliest wrong step."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from burnish.base.errors import InputError
from burnish.base.records import read_records, write_records
from burnish.base.rng import stream
from burnish.base.stats import bootstrap, wilson
from burnish.contracts.task import Task
from burnish.critique.grammar import steps_of
from burnish.critique.triples import NO_ERROR, Solution
from burnish.data.tasks import make_task

KEYS = ("id", "problem", "steps", "final_answer_correct", "label")


def write_processbench(path: Path, solutions: Iterable[Solution]) -> int:
    """Write solutions whose first error is known; returns how many there were.

    Source: ProcessBench (Zheng et al. 2024, arXiv 2412.06559): `label` is -1 or an index from 0.
    Oracle: tests/critique/test_processbench.py::test_read_is_the_inverse_of_write
    """
    rows = [
        to_row(number, one) for number, one in enumerate(solutions) if one.first_error is not None
    ]
    write_records(path, rows)
    return len(rows)


def to_row(number: int, solution: Solution) -> dict[str, Any]:
    """A solution as a row; where only the end is wrong, the label is the last step."""
    steps, label = steps_of(solution.text), solution.first_error
    return {
        "id": f"{solution.task.group}-{number}",
        "generator": solution.origin,
        "problem": solution.task.prompt,
        "steps": steps,
        "final_answer_correct": solution.right,
        "label": label if label is None else min(label, max(0, len(steps) - 1)),
        "answer": solution.task.answer,
    }


def measure_predictions(
    predictions: Sequence[int | None], rows: Sequence[Mapping[str, Any]], *, seed: int = 0
) -> dict[str, Any]:
    """Accuracy on erroneous and on correct rows, and F1, their harmonic mean.

    A prediction is right where it equals the label; None never is. `chance` guesses each step and
    "no error" with the same probability. A kind without rows has no accuracy, and F1 is None.
    Source: arXiv 2412.06559, section 4.1: F1 of the two accuracies.
    Oracle: tests/critique/test_processbench.py::test_numbers_by_hand
    """
    kinds = np.array([row["label"] != NO_ERROR for row in rows], dtype=int)
    hits = np.array(
        [p == row["label"] for p, row in zip(predictions, rows, strict=True)], dtype=int
    )
    guesses = np.array([1 / (len(row["steps"]) + 1) for row in rows])
    found: dict[str, Any] = {"num": len(rows), "num_erroneous": int(kinds.sum())}
    chance: dict[str, Any] = {}
    for kind, name in ((1, "erroneous"), (0, "correct")):
        mine = kinds == kind
        found[name] = (
            wilson(int(hits[mine].sum()), int(mine.sum())).to_dict() if any(mine) else None
        )
        chance[name] = float(guesses[mine].mean()) if any(mine) else None
    found["f1"] = chance["f1"] = None
    if found["erroneous"] and found["correct"]:
        rng = stream(seed, "processbench")
        found["f1"] = bootstrap(2 * kinds + hits, rng=rng, statistic=_f1_of_codes).to_dict()
        chance["f1"] = harmonic_mean(chance["erroneous"], chance["correct"])
    return {**found, "chance": chance}


def harmonic_mean(one: float, other: float) -> float:
    """2ab / (a + b), 0 where both are 0."""
    return 2 * one * other / (one + other) if one + other else 0.0


def _f1_of_codes(codes: np.ndarray) -> float:
    """F1 of rows coded 2 * erroneous + right; a resample without one kind counts as 0."""
    miss, hit, wrong_miss, wrong_hit = np.bincount(codes.astype(int), minlength=4)
    shares = [h / n if (n := h + m) else 0.0 for h, m in ((hit, miss), (wrong_hit, wrong_miss))]
    return harmonic_mean(*shares)


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
        text="\n".join(_line(step) for step in steps),
        right=bool(row["final_answer_correct"]),
        origin=str(row.get("generator", "file")),
        first_error=label,
    )


def _line(step: str) -> str:
    """A step as one line, which `steps_of` keeps, so that labels count the same steps."""
    return " ".join(step.split()).lstrip("# ") or "-"


def _task(row: Mapping[str, Any]) -> Task:
    answer = str(row.get("answer") or "unknown")
    return make_task(row["problem"], answer, group=str(row["id"]).rpartition("-")[0] or "file")
