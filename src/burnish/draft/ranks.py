"""At which rank the right token stood: acceptance statistics, and decoding replayed from them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from burnish.draft.tree import Tree

MISSED = 255  # rank 255 or more, or not in the draft vocabulary


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """`values[a, i]` is the rank of the right token at offset i + 1 behind anchor a, uint8.

    `lengths[b]` anchors belong to text b. The last anchors of a text have fewer offsets than
    there are columns; what lies behind the end is `MISSED`. `lookup[a]` is how many tokens of a
    looked-up chain are right there, `MISSED` where nothing was found.
    """

    values: Tensor
    lengths: Sequence[int]
    lookup: Tensor | None = None

    def exists(self) -> Tensor:
        """Where the text is long enough for the offset."""
        left = torch.cat([torch.arange(n, 0, -1) for n in self.lengths])
        return torch.arange(self.values.shape[1])[None] < left[:, None]

    def top(self, offset: int, num_ranks: int = 1) -> tuple[int, int]:
        """How often an offset's right token is among the first ranks, and the number of cases."""
        exists = self.exists()[:, offset]
        hit = (self.values[:, offset] < num_ranks) & exists
        return int(hit.sum()), int(exists.sum())

    def acceptance(self, num_ranks: int = 8) -> list[list[float]]:
        """P(rank r at depth i is right | the tokens before it were among the first ranks).

        Source: Medusa, arXiv 2401.10774, appendix C; the condition is ours.
        Oracle: tests/draft/test_ranks.py::test_planted_acceptance_is_found
        """
        alive = torch.ones(len(self.values), dtype=torch.bool)
        exists, table = self.exists(), []
        for offset in range(self.values.shape[1]):
            ranks = self.values[alive & exists[:, offset], offset].long()
            counts = torch.bincount(ranks, minlength=256)[:num_ranks].double()
            table.append((counts / max(len(ranks), 1)).tolist())
            alive &= self.values[:, offset] < num_ranks
        return table

    def accepted(self, tree: Tree, ngram: int = 0) -> Tensor:
        """How many drafted tokens are right behind each anchor: of a tree, or a merged chain."""
        children: dict[tuple[int, int], int] = {}
        for node in range(1, tree.num_nodes):
            children[tree.parents[node], tree.ranks[node]] = node
        found = []
        for row in self.values.tolist():
            node, depth = 0, 0
            while depth < len(row) and (nearer := children.get((node, row[depth]))) is not None:
                node, depth = nearer, depth + 1
            found.append(depth)
        return torch.maximum(torch.tensor(found), self._by_chain(ngram))

    def _by_chain(self, ngram: int) -> Tensor:
        if not ngram or self.lookup is None:
            return torch.zeros(len(self.values), dtype=torch.long)
        return torch.where(self.lookup == MISSED, 0, self.lookup.long().clamp(max=ngram))

    def visits(self, tree: Tree, ngram: int = 0) -> list[list[tuple[int, int]]]:
        """For each text the passes that decode it: the anchor before each, the tokens it gives.

        The texts are the model's own answers and guesses depend on right tokens only, so this
        replays decoding exactly: each pass moves on by what was accepted and one more. The first
        pass of a text has no tree yet, only a chain; the prefill and its token do not count.
        Source: ours. Oracle: tests/draft/test_ranks.py::test_replay_equals_decoding
        """
        found, lengths, begin = [], list(self.lengths), 0
        parts = (self.accepted(tree, ngram).split(lengths), self._by_chain(ngram).split(lengths))
        for accepted, chained in zip(*parts, strict=True):
            passes, at = [], 0
            steps = [*chained[:1].tolist(), *accepted[1:].tolist()]
            while at < len(steps):
                moved = min(steps[at] + 1, len(steps) - at)
                passes.append((begin + at, moved))
                at += moved
            begin += len(steps)
            found.append(passes)
        return found

    def share_looked_up(self, tree: Tree, ngram: int) -> float:
        """The fraction of decoding passes in which a looked-up chain was found."""
        if self.lookup is None:
            return 0.0
        anchors = [at for passes in self.visits(tree, ngram) for at, _ in passes]
        return float((self.lookup[anchors] != MISSED).double().mean())

    def replay(self, tree: Tree, ngram: int = 0) -> list[tuple[int, int]]:
        """Tokens and verifying passes of each text that has any, as `visits` decodes it."""
        some = [passes for passes in self.visits(tree, ngram) if passes]
        return [(sum(moved for _, moved in passes), len(passes)) for passes in some]

    def tokens_per_pass(self, tree: Tree, ngram: int = 0) -> float:
        """Tokens over passes, summed over all texts."""
        tokens, passes = zip(*self.replay(tree, ngram), strict=True)
        return sum(tokens) / sum(passes)
