"""Which ranks to draft at which depth: trees grown from measured acceptance."""

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from burnish.base.errors import SettingError

Acceptance = Sequence[Sequence[float]]  # [offset][rank]: that rank is right, if the parent is


@dataclass(frozen=True, kw_only=True)
class Tree:
    """The shape of a draft. Node v > 0 is the candidate of rank `ranks[v]` at its depth."""

    parents: tuple[int, ...] = (-1,)
    ranks: tuple[int, ...] = (-1,)

    @cached_property
    def depths(self) -> tuple[int, ...]:
        """Distance of each node from the root."""
        depths: list[int] = []
        for parent in self.parents:
            depths.append(0 if parent < 0 else depths[parent] + 1)
        return tuple(depths)

    @property
    def num_nodes(self) -> int:
        """Nodes, the root included."""
        return len(self.parents)

    @property
    def num_leaves(self) -> int:
        """Nodes without children."""
        return self.num_nodes - len(set(self.parents[1:])) if self.num_nodes > 1 else 1

    def expected_tokens(self, acceptance: Acceptance) -> float:
        """Mean tokens of a pass: the bonus, and each node as often as its whole path is right.

        Source: Medusa, arXiv 2401.10774, appendix C.
        Oracle: tests/draft/test_tree.py::test_chain_of_equal_acceptance_has_its_closed_form
        """
        return sum(path_products(self, acceptance))


def path_products(tree: Tree, acceptance: Acceptance) -> list[float]:
    """How probable it is that each node is right; 1 for the root."""
    found = [1.0]
    for parent, rank, depth in list(zip(tree.parents, tree.ranks, tree.depths, strict=True))[1:]:
        found.append(found[parent] * acceptance[depth - 1][rank])
    return found


def chain(num_tokens: int) -> Tree:
    """A chain of the likeliest candidate at each depth."""
    return Tree(parents=tuple(range(-1, num_tokens)), ranks=(-1,) + (0,) * num_tokens)


def grow_tree(acceptance: Acceptance, num_nodes: int, *, max_leaves: int = 64) -> Tree:
    """The tree of `num_nodes` nodes, root included, with the most expected tokens per pass.

    Greedy by the product of acceptances along the path, which is optimal because a node is never
    likelier than its parent; `max_leaves` bounds the branches that the cache must hold.
    Source: Medusa, arXiv 2401.10774, appendix C.
    Oracle: tests/draft/test_tree.py::test_grown_tree_equals_brute_force
    """
    if num_nodes < 1:
        raise SettingError("num_nodes", num_nodes, "must be at least 1", remedy="1 drafts nothing")
    parents, ranks, depths, children = [-1], [-1], [0], [0]
    order = itertools.count()
    heap: list[tuple[float, int, int, int, float]] = []

    def offer(parent: int, rank: int, product: float) -> None:
        """Put the candidate of a rank behind a parent on the heap."""
        depth = depths[parent]
        if depth < len(acceptance) and rank < len(acceptance[depth]):
            chance = product * acceptance[depth][rank]
            heapq.heappush(heap, (-chance, next(order), parent, rank, product))

    num_leaves = 1
    offer(0, 0, 1.0)
    while heap and len(parents) < num_nodes:
        chance, _, parent, rank, product = heapq.heappop(heap)
        adds_leaf = children[parent] > 0
        if chance == 0 or (adds_leaf and num_leaves == max_leaves):
            continue
        num_leaves += adds_leaf
        children[parent] += 1
        parents.append(parent)
        ranks.append(rank)
        depths.append(depths[parent] + 1)
        children.append(0)
        offer(parent, rank + 1, product)
        offer(len(parents) - 1, 0, -chance)
    return Tree(parents=tuple(parents), ranks=tuple(ranks))
