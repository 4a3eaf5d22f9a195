"""Flawed solutions and their critiques as rows: (task, solution, critique) with provenance."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from burnish.contracts.task import Task

NO_ERROR = -1


@dataclass(frozen=True, kw_only=True)
class Solution:
    """One worked answer to a task.

    `first_error` is the index of its first wrong step, -1 for none, None where it is unknown;
    `kind` the type of that error; `origin` is sampled, located, inserted or right.
    """

    task: Task
    text: str
    right: bool
    origin: str
    first_error: int | None = None
    kind: str = ""
    tokens: int = 0


@dataclass(frozen=True, kw_only=True)
class Triple:
    """A solution with a critique of it; `scores` are what filters measured."""

    id: str
    solution: Solution
    critique: str
    scores: Mapping[str, Any] = field(default_factory=dict)

    def to_row(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Triple":
        """The inverse of `to_row`. Raises: KeyError or TypeError, for another row."""
        solution = dict(row["solution"])
        solution["task"] = Task(**solution["task"])
        return cls(
            id=row["id"],
            solution=Solution(**solution),
            critique=row["critique"],
            scores=row.get("scores", {}),
        )
