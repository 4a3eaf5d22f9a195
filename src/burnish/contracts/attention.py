"""The seam between a decoder and whatever owns positions and the cache."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Attend(Protocol):
    """Answers a layer's queries. It owns positions, rotation, cache and mask.

    The decoder calls it once a layer with rows that are not yet rotated; rows of all sequences
    stand one after another, without padding. Implementations: `burnish.kv`, `burnish.engine`.
    """

    def __call__(
        self,
        layer: int,
        query: Float[Tensor, "N H D"],
        key: Float[Tensor, "N K D"],
        value: Float[Tensor, "N K D"],
    ) -> Float[Tensor, "N H D"]:
        """Attention output of every row, heads still apart."""
        ...
