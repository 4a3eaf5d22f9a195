"""The decode loop's interface to a network: slots that hold one growing sequence each."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Session(Protocol):
    """Sequences in slots, with their state (keys and values, or whatever the network keeps)."""

    def clear(self, slot: int) -> None:
        """Make a slot empty."""
        ...

    def cuts(self, num_tokens: int) -> list[int]:
        """Ends of the chunks in which a prompt of this many tokens is read.

        Each chunk may be read by its own call of `prefill`; the results are the same.
        """
        ...

    def prefill(
        self, slots: Sequence[int], prompts: Sequence[Sequence[int]]
    ) -> Float[Tensor, "B V"]:
        """Append prompts to the sequences in slots; logits of each prompt's last token."""
        ...

    def step(self, tokens: Sequence[int]) -> Float[Tensor, "B V"]:
        """Append one token to each of the slots 0, 1, ...; logits of the appended rows."""
        ...

    def snapshot(self, slot: int) -> Any:
        """A copy of a slot's state, independent of what happens to the slot."""
        ...

    def restore(self, slot: int, snapshot: Any) -> None:
        """Put a copied state into a free slot."""
        ...

    def move(self, source: int, target: int) -> None:
        """Copy one slot over another."""
        ...
