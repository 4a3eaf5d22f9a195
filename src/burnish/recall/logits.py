"""From logits to predictions, and how many logits existed at once."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from burnish.models.head import checked_numbers
from burnish.recall.reader import Predicted

NEAR_TIE = 1e-4  # the two best logits closer than this: another order of sums may swap them


def greedy(logits: Float[Tensor, "R V"]) -> tuple[list[int], list[bool]]:
    """The likeliest token of each row, and whether the second was closer than `NEAR_TIE`.

    Raises: IncompleteError, where a row has a NaN.
    """
    best = checked_numbers(logits.topk(2, dim=-1).values)
    return logits.argmax(-1).tolist(), (best[:, 0] - best[:, 1] < NEAR_TIE).tolist()


def gather(parts: Sequence[tuple[list[int], list[bool]]]) -> Predicted:
    """Join predictions of pieces into one."""
    tokens = tuple(token for ids, _ in parts for token in ids)
    close = [tie for _, ties in parts for tie in ties]
    return Predicted(tokens=tokens, near_ties=tuple(i for i, tie in enumerate(close) if tie))


class Peak:
    """The largest block of logits that existed at once [bytes]."""

    def __init__(self) -> None:
        self.num_bytes = 0

    def see(self, logits: torch.Tensor) -> torch.Tensor:
        """Record the size of a block, and return it."""
        self.num_bytes = max(self.num_bytes, logits.numel() * logits.element_size())
        return logits
