"""Where steps come from: a list, a function of their number, or a stream read as it is needed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from burnish.train.examples import Item, Step


@dataclass(frozen=True, kw_only=True)
class Microbatch:
    """What one forward pass takes: items as the objective wants them."""

    items: Sequence[Any]
    num_terms: int  # that these items add to the sum of which a step takes the mean
    num_rows: int  # tokens that go through the network


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One step: its passes. Its loss is the mean over all their terms."""

    passes: Sequence[Microbatch]

    @property
    def num_terms(self) -> int:
        """Terms of all passes."""
        return sum(one.num_terms for one in self.passes)

    @property
    def num_rows(self) -> int:
        """Tokens of all passes."""
        return sum(one.num_rows for one in self.passes)


@runtime_checkable
class BatchSource(Protocol):
    """The steps of a run, one after another. Its state says which comes next.

    With several processes every one of them asks for every step, and computes its share.
    """

    @property
    def num_steps(self) -> int:
        """Steps of the whole run."""
        ...

    @property
    def num_rows(self) -> int:
        """Tokens of the steps that were given so far."""
        ...

    def take(self) -> Batch:
        """The next step."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """The position: numbers, strings, tensors and containers of these."""
        ...

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Go to a position that `state_dict` gave."""
        ...


class IndexedSteps:
    """Steps that are a function of their number.

    Source: ours. Oracle: tests/train/test_steps.py::test_resumed_sources_go_on
    """

    def __init__(self, num_steps: int, make: Callable[[int], Batch]) -> None:
        self.num_steps, self._make = num_steps, make
        self.num_rows = self._step = 0

    def take(self) -> Batch:
        """The next step."""
        batch = self._make(self._step)
        self._step += 1
        self.num_rows += batch.num_rows
        return batch

    def state_dict(self) -> dict[str, Any]:
        """The number of the next step."""
        return {"step": self._step}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Go to a step; the rows before it are counted anew."""
        self._step = int(state["step"])
        self.num_rows = sum(self._make(index).num_rows for index in range(self._step))


@runtime_checkable
class Cursor(Protocol):
    """A place in a stream of items, for example in memory-mapped shards of tokens."""

    def take(self) -> Item:
        """The next item; the stream has no end (it begins again)."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """The position: numbers, strings, tensors and containers of these."""
        ...

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Go to a position that `state_dict` gave."""
        ...


class StreamedSteps:
    """Steps of equal numbers of items, read from a cursor when they are needed.

    A step takes `items_per_step` items in passes of at most `items_per_pass`; only the position
    is kept, so the stream may be larger than memory.
    Source: ours. Oracle: tests/train/test_steps.py::test_resumed_sources_go_on
    """

    def __init__(
        self, cursor: Cursor, *, num_steps: int, items_per_step: int, items_per_pass: int
    ) -> None:
        self.num_steps, self._cursor = num_steps, cursor
        self._per_step, self._per_pass = items_per_step, items_per_pass
        self.num_rows = 0

    def take(self) -> Batch:
        """The next step."""
        items = [self._cursor.take() for _ in range(self._per_step)]
        cuts = range(0, len(items), self._per_pass)
        batch = Batch(passes=[microbatch(items[cut : cut + self._per_pass]) for cut in cuts])
        self.num_rows += batch.num_rows
        return batch

    def state_dict(self) -> dict[str, Any]:
        """The cursor's position and the rows before it."""
        return {"cursor": self._cursor.state_dict(), "num_rows": self.num_rows}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Go to a position."""
        self._cursor.load_state_dict(state["cursor"])
        self.num_rows = int(state["num_rows"])


def microbatch(items: Sequence[Item]) -> Microbatch:
    """Items that go through the network together."""
    num_terms, num_rows = sum(item.num_terms for item in items), sum(map(len, items))
    return Microbatch(items=items, num_terms=num_terms, num_rows=num_rows)


def example_steps(examples: Sequence[Item], steps: Sequence[Step]) -> IndexedSteps:
    """Steps that `plan_steps` planned, with their examples."""

    def make(index: int) -> Batch:
        passes = [microbatch([examples[i] for i in one]) for one in steps[index]]
        return Batch(passes=passes)

    return IndexedSteps(len(steps), make)
