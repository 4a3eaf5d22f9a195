"""`medusa`: heads on the last hidden state, with as many parameters as FIRP's maps."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from burnish.contracts.drafter import Anchor, Proposer
from burnish.draft import drafters
from burnish.draft.firp import check_sizes
from burnish.draft.maps import maps_for, medusa_states
from burnish.draft.ranked import RankedProposer, shape_for
from burnish.models.load import Model


@drafters.register("medusa")
@dataclass(frozen=True, kw_only=True)
class Medusa:
    """Drafts with residual heads; fields as those of `firp`.

    Source: Medusa, arXiv 2401.10774, equation 1.
    Departure: all heads share the model's own output matrix (the original trains one each, 28 M
    parameters per head for this vocabulary), so that parameters equal FIRP's.
    Oracle: tests/draft/test_drafters.py::test_heads_equal_the_formula
    """

    weights: str = ""
    nodes: int = 4
    offsets: int = 0
    ngram: int = 0

    def __post_init__(self) -> None:
        check_sizes(nodes=self.nodes, offsets=self.offsets, ngram=self.ngram)

    def begin(self, model: Model) -> Proposer:
        """Load the heads and grow the tree. Raises ModelError where none fit the model."""
        maps = maps_for(model, "medusa", self.weights)
        tree = shape_for(maps, self.nodes, self.offsets)
        weight = maps.weight.to(model.device, model.dtype)
        bias = maps.bias.to(model.device, model.dtype)

        def states(anchors: Sequence[Anchor]) -> Tensor:
            final = torch.stack([anchor.final for anchor in anchors if anchor.final is not None])
            return medusa_states(final, weight, bias).transpose(0, 1)

        return RankedProposer(model, maps, tree, states, riders=None, ngram=self.ngram)
