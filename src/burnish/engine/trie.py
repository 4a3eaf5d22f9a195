"""A trie of token sequences: shared prefixes are stored once."""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Trie:
    """`tokens` are the inner nodes, which predict a token, in the order of a walk from the root.

    `parents[i]` is the inner node before node i, -1 the root, which has no token. An edge `(node,
    token)` is a token that is predicted; edges of a node stand together, in the nodes' order.
    `paths[s]` are the edges of sequence s.
    """

    tokens: tuple[int, ...]
    parents: tuple[int, ...]
    edges: tuple[tuple[int, int], ...]
    paths: tuple[tuple[int, ...], ...]

    @classmethod
    @functools.lru_cache(maxsize=256)
    def of(cls, sequences: tuple[tuple[int, ...], ...]) -> "Trie":
        """The trie of sequences that are not empty.

        Source: ours. Oracle: tests/engine/test_trie.py::test_nodes_are_the_distinct_beginnings
        """
        nodes: dict[tuple[int, ...], int] = {(): -1}
        for sequence in sorted(sequences):
            for length in range(1, len(sequence)):
                nodes.setdefault(sequence[:length], len(nodes) - 1)
        beginnings = sorted(nodes, key=lambda beginning: nodes[beginning])
        asked = {(nodes[s[:n]], s[n]) for s in sequences for n in range(len(s))}
        edges = sorted(asked)
        place = {edge: index for index, edge in enumerate(edges)}
        return cls(
            tokens=tuple(beginning[-1] for beginning in beginnings[1:]),
            parents=tuple(nodes[beginning[:-1]] for beginning in beginnings[1:]),
            edges=tuple(edges),
            paths=tuple(tuple(place[nodes[s[:n]], s[n]] for n in range(len(s))) for s in sequences),
        )

    def sums(self, values: Sequence[float]) -> list[float]:
        """For each sequence the sum of its edges' values."""
        return [sum(values[edge] for edge in path) for path in self.paths]


def common_length(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the common prefix."""
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
