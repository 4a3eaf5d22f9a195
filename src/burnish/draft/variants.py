"""Variants of drafting that a planner compares: trees, pseudo states and chains, as specs."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from burnish.contracts.drafter import Draft
from burnish.draft import drafters
from burnish.draft.candidates import merged
from burnish.draft.firp import Firp, pseudo_states
from burnish.draft.loop import Ready, make_ready
from burnish.draft.maps import Maps
from burnish.draft.ngram import Ngram
from burnish.draft.ranked import RankedProposer, shape_for
from burnish.draft.tree import Tree
from burnish.models.load import Model

NUM_NODES = (2, 3, 4, 5, 6)
NUM_NGRAM = (0, 4, 6)


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One variant of drafting: a drafter's settings, and the tree of its maps' statistics."""

    settings: Firp | Ngram
    tree: Tree = field(default_factory=Tree)

    @property
    def spec(self) -> str:
        """Its spec, as the command line takes it."""
        return drafters.spec(self.settings)

    @property
    def ngram(self) -> int:
        """Tokens in the looked-up chain; 0 if there is none."""
        return self.settings.tokens if isinstance(self.settings, Ngram) else self.settings.ngram

    @property
    def passes(self) -> Literal["one", "two"]:
        """Whether pseudo states ride along or run afterwards."""
        return "one" if isinstance(self.settings, Ngram) else self.settings.passes

    @property
    def offsets(self) -> int:
        """Pseudo states behind each node."""
        return max(self.tree.depths)

    @property
    def num_nodes(self) -> int:
        """Nodes of a draft with its chain; chain and tree may share some."""
        return self.tree.num_nodes + self.ngram

    def example(self, *, chained: bool) -> Draft:
        """A draft of this shape; its chain shares no token with the tree."""
        size = self.tree.num_nodes
        draft = Draft(tokens=tuple(range(7, 7 + size)), parents=self.tree.parents)
        return merged(draft, range(200, 200 + self.ngram)) if chained else draft

    def ready(self, model: Model, maps: Maps | None) -> Ready:
        """The drafter, begun with maps that are loaded already."""
        if isinstance(self.settings, Ngram):
            return make_ready(self.settings, model)
        assert maps is not None
        riders = maps.riders(model.dtype, model.device, num=self.offsets, passes=self.passes)
        return Ready(
            proposer=RankedProposer(
                model, maps, self.tree, pseudo_states, riders=riders, ngram=self.ngram
            )
        )


def variant_of(spec: str, maps: Maps | None) -> Variant | None:
    """The variant that a spec names; None for a drafter whose cost is not predicted."""
    settings = drafters.parse(spec)
    if isinstance(settings, Ngram):
        return Variant(settings=settings)
    if not isinstance(settings, Firp) or maps is None:
        return None
    return Variant(settings=settings, tree=shape_for(maps, settings.nodes, settings.offsets))


def all_variants(maps: Maps | None, weights: str, *, looked_up: bool) -> Sequence[Variant]:
    """Lookup alone, and FIRP's trees of several sizes, offsets and chains, in one pass or two.

    `looked_up`: whether it is known how often a looked-up chain is right.
    """
    found = [Variant(settings=Ngram(tokens=n)) for n in NUM_NGRAM if n and looked_up]
    if maps is None:
        return found
    for passes in ("two",) if maps.knows_next else ("one", "two"):
        for offsets in range(1, maps.num_offsets + 1):
            for nodes, ngram in itertools.product(NUM_NODES, NUM_NGRAM if looked_up else (0,)):
                settings = Firp(
                    weights=weights, nodes=nodes, offsets=offsets, passes=passes, ngram=ngram
                )
                variant = Variant(settings=settings, tree=shape_for(maps, nodes, offsets))
                if variant.offsets == offsets:  # else it is another variant
                    found.append(variant)
    return found
