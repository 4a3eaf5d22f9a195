"""Making tasks: the content id, the check of the checker, the default checker."""

from collections.abc import Iterable, Mapping
from typing import Any

from burnish.base.records import content_hash
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
