"""What a step minimises. An objective is a plain function of a network and examples."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from burnish.models.adapters import Adapter
from burnish.models.decoder import Decoder
from burnish.train.examples import Example
from burnish.train.forward import answer_logits


@runtime_checkable
class Objective(Protocol):
    """From the items of one pass to the sum of their terms; the loop divides by the step's.

    Everything counts `weight` times: 0 for a pass that only keeps step with other processes.
    """

    def __call__(
        self, network: Any, items: Sequence[Any], /, *, weight: float = 1.0
    ) -> Float[Tensor, ""]:
        """The sum, with its graph; `network` is the module that is trained."""
        ...


def supervised(
    network: Decoder | Adapter, examples: Sequence[Example], /, *, weight: float = 1.0
) -> Float[Tensor, ""]:
    """Sum of the answers' cross-entropies [nats]; the loop divides by the step's tokens.

    A sum, not a mean, so that accumulating over passes gives every token the same weight.
    Source: ours. Oracle: tests/train/test_loop.py::test_accumulated_equals_whole
    """
    logits, targets = answer_logits(network, examples)
    return weight * F.cross_entropy(logits.float(), targets, reduction="sum")
