"""`chain`: sums of several steps, which a program can verify line by line."""

from dataclasses import dataclass
from urllib.parse import parse_qsl

from burnish.base.errors import SettingError
from burnish.base.rng import stream
from burnish.contracts.task import Task
from burnish.data.chains import LABELS, chain_task, draw_chain
from burnish.data.sources import sources
from burnish.data.tasks import distinct_tasks

MAX_ROUNDS = 20


@sources.register("chain")
@dataclass(frozen=True, kw_only=True)
class ChainSource:
    """`size` distinct chains of `steps` sums and differences, with numbers in [`low`, `high`).

    With `distinct=1` no number comes twice in a chain, so that each tells its place. With
    `labels=1` each move has a letter that its line repeats, so that a line's number can be looked
    up by content.

    Source: ours. Oracle: tests/data/test_chains.py::test_the_source_makes_distinct_tasks
    """

    size: int = 500
    steps: int = 5
    low: int = 1
    high: int = 100
    distinct: int = 0
    labels: int = 0

    def __post_init__(self) -> None:
        for name in ("size", "steps", "low"):
            if getattr(self, name) < 1:
                value = getattr(self, name)
                raise SettingError(name, value, "must be at least 1", remedy="Raise it")
        if self.high <= self.low:
            rule = f"must be above low ({self.low})"
            raise SettingError("high", self.high, rule, remedy="Raise it")
        for name in ("distinct", "labels"):
            if getattr(self, name) not in (0, 1):
                value = getattr(self, name)
                raise SettingError(name, value, "must be 0 or 1", remedy="Write 1")
        if self.labels and self.steps > len(LABELS):
            rule = f"must be at most {len(LABELS)} where moves have labels"
            raise SettingError("steps", self.steps, rule, remedy="Lower it")
        if self.distinct and self.high - self.low <= self.steps:
            rule = f"must be above {self.low + self.steps} where numbers are distinct"
            raise SettingError("high", self.high, rule, remedy="Raise it")

    @classmethod
    def from_text(cls, text: str) -> "ChainSource":
        """Read `sums?size=500&steps=5&low=1&high=100`. Raises: SettingError."""
        name, _, query = text.partition("?")
        if name != "sums":
            raise SettingError("chain", name, "must be sums", remedy="Write chain:sums?size=500")
        options: dict[str, int] = {}
        for key, value in parse_qsl(query, keep_blank_values=True):
            if key not in cls.__dataclass_fields__ or not value.isdecimal():
                remedy = f"Use {', '.join(cls.__dataclass_fields__)} with whole numbers"
                raise SettingError(f"option {key}", value, "is not known", remedy=remedy)
            options[key] = int(value)
        return cls(**options)

    def load(self, seed: int) -> list[Task]:
        """The tasks; fewer where there are no more distinct ones."""
        found: list[Task] = []
        for number in range(MAX_ROUNDS):
            rng = stream(seed, "chain", number)
            given = {"num_steps": self.steps, "low": self.low, "high": self.high}
            more = {"distinct": bool(self.distinct), "labels": bool(self.labels)}
            drawn = [chain_task(draw_chain(rng, **given, **more)) for _ in range(self.size)]
            found = distinct_tasks([*found, *drawn])
            if len(found) >= self.size:
                break
        return found[: self.size]
