"""Tries against sets of beginnings."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burnish.engine import trie as trie_module
from burnish.engine.trie import Trie, common_length

SEQUENCES = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=5), min_size=1, max_size=9)


def spelt(trie: Trie, node: int) -> tuple[int, ...]:
    """The tokens from the root to an inner node."""
    return () if node < 0 else (*spelt(trie, trie.parents[node]), trie.tokens[node])


def check_trie(make: Any, sequences: list[list[int]]) -> None:
    given_ = tuple(map(tuple, sequences))
    trie = make(given_)
    inner = [spelt(trie, node) for node in range(len(trie.tokens))]
    assert set(inner) == {s[:n] for s in given_ for n in range(1, len(s))}
    assert len(inner) == len(set(inner))
    assert all(parent < node for node, parent in enumerate(trie.parents))
    predicted = [(*spelt(trie, node), token) for node, token in trie.edges]
    assert sorted(predicted) == sorted({s[: n + 1] for s in given_ for n in range(len(s))})
    assert [node for node, _ in trie.edges] == sorted(node for node, _ in trie.edges)
    ways = [tuple(trie.edges[edge][1] for edge in path) for path in trie.paths]
    assert ways == list(given_)
    values = [10.0**edge for edge in range(len(trie.edges))]
    assert trie.sums(values) == [sum(values[edge] for edge in path) for path in trie.paths]


@given(SEQUENCES)
def test_nodes_are_the_distinct_beginnings(sequences: list[list[int]]) -> None:
    check_trie(Trie.of, sequences)


def test_nodes_are_in_the_order_of_a_walk() -> None:
    """A node's parent is the node before it, or one that was left by an earlier branch."""
    trie = Trie.of(((5, 1, 2, 9), (5, 3, 3), (4, 4), (5, 1, 7, 8)))
    assert [spelt(trie, node) for node in range(len(trie.tokens))] == [
        (4,), (5,), (5, 1), (5, 1, 2), (5, 1, 7), (5, 3),
    ]  # fmt: skip


def test_planted_leaf_that_is_a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    def longer(sequences: Any) -> Trie:
        return Trie.of((*sequences, (*sequences[0], 9)))

    with pytest.raises(AssertionError):
        check_trie(longer, [[1, 2], [1, 0]])


def test_common_length() -> None:
    assert common_length([1, 2, 3], [1, 2, 4, 5]) == 2
    assert common_length([1, 2], [1, 2, 3]) == 2
    assert common_length([], [1]) == common_length([2], [1]) == 0
    assert trie_module.common_length((7,), [7]) == 1
