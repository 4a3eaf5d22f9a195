"""`firp`: pseudo hidden states of future tokens, run through the model's own later layers.

A *reconstruction* of FIRP (arXiv 2410.20488): only its abstract and the opening of its
introduction could be read, see docs/papers/firp.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from burnish.base.errors import SettingError
from burnish.contracts.drafter import Anchor, Proposer
from burnish.draft import drafters
from burnish.draft.maps import maps_for
from burnish.draft.ranked import RankedProposer, shape_for
from burnish.models.load import Model


@drafters.register("firp")
@dataclass(frozen=True, kw_only=True)
class Firp:
    """Drafts with pseudo states.

    `weights`: a file of `burnish draft train`; empty takes what ships for the model. `nodes`: of
    the tree, root included. `offsets`: pseudo states used, 0 for all. `passes`: `one` carries them
    in the verifying pass, `two` runs them after it. `ngram`: length of a lookup chain that is
    merged into the tree, 0 for none.
    Source: FIRP, arXiv 2410.20488 (reconstruction).
    Oracle: tests/draft/test_planted.py::test_rotation_accepts_everything
    """

    weights: str = ""
    nodes: int = 3
    offsets: int = 1
    passes: Literal["one", "two"] = "one"
    ngram: int = 0

    def __post_init__(self) -> None:
        check_sizes(nodes=self.nodes, offsets=self.offsets, ngram=self.ngram)

    def begin(self, model: Model) -> Proposer:
        """Load the maps and grow the tree. Raises ModelError where none fit the model."""
        maps = maps_for(model, "firp", self.weights)
        if maps.knows_next and self.passes == "one":
            rule = "must be two for maps that know the next token"
            raise SettingError("firp.passes", self.passes, rule, remedy="Write passes=two")
        tree = shape_for(maps, self.nodes, self.offsets)
        riders = None
        if tree.num_nodes > 1:
            num = max(tree.depths)
            riders = maps.riders(model.dtype, model.device, num=num, passes=self.passes)
        return RankedProposer(model, maps, tree, pseudo_states, riders=riders, ngram=self.ngram)


def pseudo_states(anchors: Sequence[Anchor]) -> Tensor:
    """The pseudo states that the pass left."""
    return torch.stack([anchor.pseudo for anchor in anchors if anchor.pseudo is not None])


def check_sizes(**sizes: int) -> None:
    """Raise SettingError for a size below zero, or a tree without a root."""
    for name, size in sizes.items():
        least = 1 if name == "nodes" else 0
        if size < least:
            raise SettingError(name, size, f"must be at least {least}", remedy="Raise it")
