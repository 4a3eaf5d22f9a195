"""The interface that measuring needs of a model: append tokens, and predict."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """The likeliest token at each scored place; `near_ties` are places where it was close.

    A reader that only learns whether the target was the likeliest gives -1 where it was not.
    """

    tokens: tuple[int, ...]
    near_ties: tuple[int, ...] = ()


@runtime_checkable
class Reader(Protocol):
    """One growing text in a model. Anything with these three calls can be measured."""

    def clear(self) -> None:
        """Begin a new text."""
        ...

    def extend(self, tokens: Sequence[int]) -> None:
        """Append tokens to the text."""
        ...

    def predict(self, tokens: Sequence[int], num_scored: int) -> Predicted:
        """Predict the last `num_scored` of `tokens`, each from all before it.

        The tokens stand behind the text so far, which is left as it was.
        """
        ...
