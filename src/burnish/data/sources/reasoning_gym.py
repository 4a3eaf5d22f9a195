"""`reasoning-gym`: procedural tasks with exact scorers, as many as the data set has."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from burnish.base.errors import SettingError
from burnish.base.rng import derive_seed
from burnish.contracts.task import Task
from burnish.data.gym import build_dataset, freeze
from burnish.data.sources import sources
from burnish.data.tasks import make_task

MAX_ROUNDS = 20


@sources.register("reasoning-gym")
@dataclass(frozen=True, kw_only=True)
class ReasoningGymSource:
    """`size` distinct tasks of one of reasoning-gym's data sets.

    `options` are the fields of the data set's config, as text. The prompt is the question exactly.
    Some spaces are small (one-digit sums repeat): further rounds are drawn until there are `size`
    distinct tasks, a round brings none, or `MAX_ROUNDS` rounds are over; then there are fewer.
    A data set without one reference answer (many are right) has the empty answer.
    Source: reasoning-gym (Stojanovski et al. 2025, arXiv 2505.24760).
    Departure: its own seeds are `seed + index`, so neighbouring seeds share tasks; ours are hashed.
    Oracle: tests/data/test_sources.py::test_gym_size_counts_distinct_tasks
    """

    dataset: str
    size: int = 500
    options: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.size < 1:
            rule = "must be at least 1"
            raise SettingError("size", self.size, rule, remedy="Ask for at least one task")

    @classmethod
    def from_text(cls, text: str) -> "ReasoningGymSource":
        """Read `NAME?size=500&option=value`. Raises: SettingError."""
        dataset, _, query = text.partition("?")
        remedy = "Write NAME?key=value&key=value"
        try:
            pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
        except ValueError:
            raise SettingError("options", query, "must be key=value", remedy=remedy) from None
        options = dict(pairs)
        if len(options) < len(pairs):
            raise SettingError("options", query, "must give each key once", remedy=remedy)
        if "seed" in options:
            remedy = "Give --seed instead"
            raise SettingError("options", "seed", "must not hold the seed", remedy=remedy)
        size = options.pop("size", "500")
        if not size.isdecimal():
            raise SettingError("size", size, "must be a whole number", remedy="Write size=500")
        return cls(dataset=dataset, size=int(size), options=options)

    def load(self, seed: int) -> list[Task]:
        """Draw the tasks. Raises: UnknownNameError; SettingError, for options."""
        tasks: dict[str, Task] = {}
        for number in range(MAX_ROUNDS):
            known = len(tasks)
            own = derive_seed(seed, "reasoning-gym", self.dataset, number) % 2**31
            entries = build_dataset(self.dataset, self.options, size=self.size, seed=own)
            for i in range(self.size):
                task = self._task(entries[i])
                tasks.setdefault(task.id, task)
                if len(tasks) == self.size:
                    return list(tasks.values())
            if len(tasks) == known:
                break
        return list(tasks.values())

    def _task(self, entry: Mapping[str, Any]) -> Task:
        kept = {key: freeze(entry[key]) for key in entry if key != "question"}
        metadata = {"dataset": self.dataset, "options": dict(self.options), "entry": kept}
        answer = entry["answer"]
        return make_task(
            entry["question"],
            "" if answer is None else str(answer),
            group=self.dataset,
            checker="reasoning-gym",
            metadata=metadata,
        )
