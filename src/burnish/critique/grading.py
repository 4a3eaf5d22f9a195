"""`burnish critique grade`: one pair, or many rows at once."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from burnish.base.errors import InputError
from burnish.base.records import read_records
from burnish.data.math.grade import Grade, grade
from burnish.distrib import launchers

CHUNK = 256


def graded(gold: str, answer: str, *, tolerance: float | None = None) -> dict[str, Any]:
    """A grade as JSON, with `correct`."""
    return as_row(grade(gold, answer, tolerance=tolerance))


def as_row(found: Grade) -> dict[str, Any]:
    """The fields of a grade, `correct` first."""
    return {"correct": found.correct, **asdict(found)}


def grade_file(
    path: Path, *, tolerance: float | None = None, launcher: str = "serial"
) -> dict[str, Any]:
    """Grade rows of `gold` and `answer`; rows with `correct` also give the agreement.

    Raises: InputError, naming the row; UnknownNameError, for a launcher that is not known.
    Source: ours. Oracle: tests/critique/test_grading.py::test_a_file_equals_its_rows
    """
    rows = [_checked(number, row) for number, row in enumerate(read_records(path), 1)]
    if not rows:
        remedy = "Give each row gold and answer"
        raise InputError(str(path), 0, "must contain at least one row", remedy=remedy)
    chunks = [(rows[i : i + CHUNK], tolerance) for i in range(0, len(rows), CHUNK)]
    found = [one for part in launchers.parse(launcher).map(_grade_chunk, chunks) for one in part]
    wanted = [row.get("correct") for row in rows]
    differ = [i for i, (want, one) in enumerate(zip(wanted, found, strict=True), 1)
              if want is not None and want != one["correct"]]  # fmt: skip
    result: dict[str, Any] = {
        "num": len(found),
        "num_correct": sum(one["correct"] for one in found),
        "verdicts": dict(Counter(one["verdict"] for one in found)),
    }
    if any(want is not None for want in wanted):
        result["disagreements"] = differ
    return result | {"rows": found}


def _grade_chunk(chunk: tuple[Iterable[Mapping[str, Any]], float | None]) -> list[dict[str, Any]]:
    rows, tolerance = chunk
    return [graded(row["gold"], row["answer"], tolerance=tolerance) for row in rows]


def _checked(number: int, row: Mapping[str, Any]) -> Mapping[str, Any]:
    for name in ("gold", "answer"):
        if not isinstance(row.get(name), str):
            remedy = "Give each row gold and answer"
            value = row.get(name)
            raise InputError(f"{name} of row {number}", value, "must be a text", remedy=remedy)
    correct = row.get("correct")
    if correct is not None and not isinstance(correct, bool):
        rule, remedy = "must be true or false", "Correct it, or leave it out"
        raise InputError(f"correct of row {number}", correct, rule, remedy=remedy)
    return row
