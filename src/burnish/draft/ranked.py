"""From guessed last states to drafts: the proposer that FIRP and Medusa share."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from burnish.contracts.drafter import Anchor, Draft, Riders
from burnish.draft.candidates import MATCH, draft_of, lookup, merged
from burnish.draft.maps import Maps
from burnish.draft.tree import Tree, grow_tree
from burnish.models.decoder import Decoder
from burnish.models.load import Model

States = Callable[[Sequence[Anchor]], Tensor]  # [B, k, d] guessed last states


class RankedProposer:
    """Fills a tree's shape with the likeliest tokens at each offset; may merge a lookup chain.

    Source: Medusa, arXiv 2401.10774, section 2.1.2 (Cartesian tree).
    Oracle: tests/draft/test_drafters.py::test_drafts_hold_the_likeliest_tokens
    """

    def __init__(
        self,
        model: Model,
        maps: Maps,
        tree: Tree,
        states: States,
        *,
        riders: Riders | None,
        ngram: int,
    ) -> None:
        assert isinstance(model.network, Decoder)
        self.riders, self._tree, self._states, self._ngram = riders, tree, states, ngram
        self._vocabulary = maps.vocabulary.long().to(model.device)
        self._head = model.network.lm_head.narrowed(self._vocabulary)
        self._num_ranks = max(tree.ranks) + 1 if tree.num_nodes > 1 else 0
        self.num_nodes = tree.num_nodes + ngram

    def propose(self, anchors: Sequence[Anchor]) -> list[Draft]:
        """A draft for each text; texts without states yet get a root, and the lookup chain."""
        drafts = [Draft(tokens=(anchor.tokens[-1],)) for anchor in anchors]
        ready = [i for i, anchor in enumerate(anchors) if anchor.final is not None]
        if ready and self._num_ranks:
            candidates = self._candidates([anchors[i] for i in ready])
            for i, table in zip(ready, candidates, strict=True):
                drafts[i] = draft_of(anchors[i].tokens[-1], self._tree, table)
        if not self._ngram:
            return drafts
        chains = [lookup(a.tokens, self._ngram, **MATCH) for a in anchors]
        return [merged(draft, chain) for draft, chain in zip(drafts, chains, strict=True)]

    @torch.inference_mode()
    def _candidates(self, anchors: Sequence[Anchor]) -> list[list[list[int]]]:
        """Tokens `[text][offset][rank]`."""
        states = self._states(anchors)
        logits = self._head(states.flatten(0, 1))
        best = logits.topk(self._num_ranks, dim=-1).indices
        return self._vocabulary[best].unflatten(0, states.shape[:2]).tolist()


def shape_for(maps: Maps, num_nodes: int, num_offsets: int) -> Tree:
    """The best tree for the maps' measured acceptance; a chain if none was measured."""
    num = min(num_offsets or maps.num_offsets, maps.num_offsets)
    table = [[0.5, 0.1]] * num if maps.ranks is None else maps.ranks.acceptance()[:num]
    return grow_tree(table, num_nodes)
