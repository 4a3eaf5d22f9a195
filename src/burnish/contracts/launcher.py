"""Maps over items: the same answer for any number of workers."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Launcher(Protocol):
    """Runs a function over items, in this process or in others."""

    def map(self, fn: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        """Yield `fn(item)` in the order of `items`; an exception of `fn` is raised here."""
        ...
