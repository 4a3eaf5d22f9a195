"""What is measured of the base model and of the chosen one, side by side."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from burnish.contracts.step import Told
from burnish.jobs.step import Composite, Step

SIDES = {"before": "base", "after": "chosen"}  # the model of each side


@dataclass(frozen=True, kw_only=True)
class TwoSided(Composite):
    """One step a side, the model before and then the model after; none where it is off.

    Source: ours. Oracle: tests/recipes/test_two_sided.py::test_each_side_measures_its_own_model
    """

    name: str
    seed: int
    precision: str

    @property
    @abstractmethod
    def is_on(self) -> bool:
        """Whether anything is measured."""

    @abstractmethod
    def side(self, name: str, model: str) -> Step:
        """The step of a side; `name` is also that of the value that it writes."""

    @abstractmethod
    def compare(self, before: Any, after: Any) -> Sequence[Told]:
        """What the two sides say."""

    @property
    def reads(self) -> tuple[str, ...]:
        """The two models."""
        return tuple(SIDES.values())

    def planned(self) -> Sequence[Step]:
        """One measurement a side, or none."""
        if not self.is_on:
            return []
        return [self.side(f"{self.name}-{side}", model) for side, model in SIDES.items()]

    def steps(self, look: Callable[[str], Any]) -> Iterator[Step]:
        """The model before, then the model after."""
        yield from self.planned()

    def tell(self, look: Callable[[str], Any]) -> Sequence[Told]:
        """What the two sides say; nothing where nothing was measured."""
        if not self.is_on:
            return ()
        before, after = (look(f"{self.name}-{side}") for side in SIDES)
        return self.compare(before, after)
