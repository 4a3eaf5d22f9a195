"""`serial`: one item after another, in this process."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from burnish.distrib import launchers


@launchers.register("serial")
@dataclass(frozen=True, kw_only=True)
class SerialLauncher:
    """Calls the function itself; what every other launcher must agree with."""

    def map(self, fn: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        """Yield `fn(item)` in the order of `items`."""
        return map(fn, items)
