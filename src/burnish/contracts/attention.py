"""The interface between a decoder and the object that owns positions and the cache."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Attend(Protocol):
    """Computes a layer's attention. It owns positions, rotation, cache and mask.

    The decoder calls it once per layer with rows that are not yet rotated; the rows of all
    sequences follow one another without padding. Implementations: `burnish.kv`, `burnish.engine`.
    """

    def __call__(
        self,
        layer: int,
        query: Float[Tensor, "N H D"],
        key: Float[Tensor, "N K D"],
        value: Float[Tensor, "N K D"],
    ) -> Float[Tensor, "N H D"]:
        """Attention output of every row, for each head separately."""
        ...
