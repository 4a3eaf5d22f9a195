"""Trees against closed forms and brute force."""

import itertools
from typing import Any

import pytest

from burnish.base.errors import SettingError
from burnish.draft.tree import Tree, chain, grow_tree

TABLE = [[0.5, 0.21, 0.13, 0.02], [0.43, 0.19, 0.11], [0.37, 0.17]]


@pytest.mark.parametrize("acceptance", [0.0, 0.3, 0.75, 1.0])
@pytest.mark.parametrize("num_tokens", [0, 1, 4])
def test_chain_of_equal_acceptance_has_its_closed_form(acceptance: float, num_tokens: int) -> None:
    tree = chain(num_tokens)
    found = tree.expected_tokens([[acceptance]] * max(num_tokens, 1))
    geometric = sum(acceptance**i for i in range(num_tokens + 1))
    assert found == pytest.approx(geometric)
    assert (tree.num_nodes, tree.num_leaves) == (num_tokens + 1, 1)


def paths_of(tree: Tree) -> set[tuple[int, ...]]:
    """Every node as the ranks on the way to it."""
    found: list[tuple[int, ...]] = []
    for parent, rank in zip(tree.parents, tree.ranks, strict=True):
        found.append(() if parent < 0 else (*found[parent], rank))
    return set(found)


def product_of(path: tuple[int, ...]) -> float:
    value = 1.0
    for depth, rank in enumerate(path):
        value *= TABLE[depth][rank]
    return value


def best_by_brute_force(num_nodes: int) -> float:
    """The largest sum over all sets of paths that hold every beginning of their paths."""
    everything = [()]
    for depth in range(1, len(TABLE) + 1):
        everything += itertools.product(*(range(len(row)) for row in TABLE[:depth]))
    likely = sorted(everything, key=product_of, reverse=True)[:18]
    best = 0.0
    for some in itertools.combinations(likely[1:], num_nodes - 1):
        nodes = {(), *some}
        if all(path[:-1] in nodes for path in some):
            best = max(best, sum(map(product_of, nodes)))
    return best


def check_growth(grow: Any) -> None:
    for num_nodes in range(1, 8):
        tree = grow(TABLE, num_nodes)
        assert tree.num_nodes == num_nodes
        assert tree.expected_tokens(TABLE) == pytest.approx(best_by_brute_force(num_nodes))
        assert tree.expected_tokens(TABLE) == pytest.approx(sum(map(product_of, paths_of(tree))))


def test_grown_tree_equals_brute_force() -> None:
    check_growth(grow_tree)


def test_planted_growth_by_depth_only() -> None:
    def chains_first(table: Any, num_nodes: int) -> Tree:
        found = chain(min(num_nodes - 1, len(table)))
        more = num_nodes - found.num_nodes
        parents = found.parents + (0,) * more
        return Tree(parents=parents, ranks=found.ranks + tuple(range(1, more + 1)))

    with pytest.raises(AssertionError):
        check_growth(chains_first)


def test_leaves_are_bounded_and_tables_end() -> None:
    assert grow_tree(TABLE, 6, max_leaves=1).parents == (-1, 0, 1, 2)
    assert grow_tree(TABLE, 20, max_leaves=2).num_leaves == 2
    assert grow_tree([[0.5, 0.0]], 5).num_nodes == 2  # what is never right is not drafted
    assert grow_tree([], 5).num_nodes == 1
    with pytest.raises(SettingError, match="num_nodes must be at least 1, got 0"):
        grow_tree(TABLE, 0)
