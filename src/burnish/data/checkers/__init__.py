"""Checkers: programs that say whether a text answers a task. One file each, found by name."""

import functools

from burnish.base.registry import Registry
from burnish.contracts.task import Checker, Judgement, Task

checkers: Registry[Checker] = Registry("checker", "burnish.data.checkers")


def judge(text: str, task: Task) -> Judgement:
    """Judge a model's whole answer text with the checker that the task names.

    Raises: UnknownNameError or SettingError, for a spec of no checker; nothing on any text.
    """
    return parse_checker(task.checker).check(text, task)


@functools.cache
def parse_checker(spec: str) -> Checker:
    """Return the checker that a spec describes, such as `exact:ignore_case=true`."""
    return checkers.parse(spec)
