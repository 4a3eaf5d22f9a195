"""Making tasks: the content id, the check of the checker, the default checker; rows of files."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from burnish.base.errors import InputError, SettingError, UnknownNameError
from burnish.base.records import content_hash, read_records
from burnish.contracts.task import Task
from burnish.data.checkers import parse_checker
from burnish.data.numbers import read_number


def make_task(
    prompt: str,
    answer: str,
    *,
    group: str,
    checker: str = "",
    metadata: Mapping[str, Any] | None = None,
) -> Task:
    """Return a task with its content id (the hash of prompt and answer).

    Without `checker` it is `number` where the whole answer is a number, else `exact`.
    Raises: UnknownNameError or SettingError, for a spec of no checker.
    """
    checker = checker or ("number" if read_number(answer) else "exact")
    parse_checker(checker)
    return Task(
        id=content_hash({"prompt": prompt, "answer": answer}),
        prompt=prompt,
        answer=answer,
        group=group,
        checker=checker,
        metadata=dict(metadata or {}),
    )


def distinct_tasks(tasks: Iterable[Task]) -> list[Task]:
    """Return the tasks without those whose id came before, in their order.

    Source: ours.
    Oracle: tests/data/test_tasks.py::test_the_first_of_equal_tasks_is_kept_in_its_place
    """
    kept: dict[str, Task] = {}
    for task in tasks:
        kept.setdefault(task.id, task)
    return list(kept.values())


def load_rows(path: str, to_task: Callable[[Mapping[str, Any]], Task]) -> list[Task]:
    """Make a task of every row; an error names the row's line. Raises: InputError."""
    tasks = []
    for i, row in enumerate(read_records(path)):
        try:
            tasks.append(to_task(row))
        except (InputError, SettingError, UnknownNameError) as error:
            where = f"{_where(path, i)}: {error.name}"
            raise InputError(where, error.value, error.rule, remedy=error.remedy) from error
    return distinct_tasks(tasks)


def _where(path: str, index: int) -> str:
    """`path:line` of a row; rows of JSONL may have blank lines between them."""
    if not path.endswith(".jsonl"):
        return f"{path}:row {index + 1}"
    with Path(path).open("rb") as file:
        lines = [number for number, line in enumerate(file, start=1) if line.strip()]
    return f"{path}:{lines[index]}"
