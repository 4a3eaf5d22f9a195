"""Drafts filled, merged and looked up, against written-down ones and brute force."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from burnish.base.errors import SettingError
from burnish.contracts.drafter import Draft
from burnish.draft.candidates import draft_of, lookup, merged
from burnish.draft.tree import Tree


def strings(draft: Draft) -> set[tuple[int, ...]]:
    """Every node as the tokens on the way to it."""
    found: list[tuple[int, ...]] = []
    for token, parent in zip(draft.tokens, draft.parents, strict=True):
        found.append((*(found[parent] if parent >= 0 else ()), token))
    return set(found)


def test_a_shape_is_filled_by_depth_and_rank() -> None:
    tree = Tree(parents=(-1, 0, 0, 1, 3, 1), ranks=(-1, 0, 1, 0, 0, 1))
    draft = draft_of(7, tree, [[20, 21], [30, 31], [40, 41]])
    assert draft.tokens == (7, 20, 21, 30, 40, 31)
    assert strings(draft) == {
        (7,), (7, 20), (7, 21), (7, 20, 30), (7, 20, 30, 40), (7, 20, 31),
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(20))
def test_merged_holds_both(seed: int) -> None:
    rng = np.random.default_rng(seed)
    draft = Draft(tokens=(7, 20, 21, 30, 40, 31), parents=(-1, 0, 0, 1, 3, 1))
    chain = [int(t) for t in rng.choice([20, 21, 30, 31, 40, 50], int(rng.integers(0, 5)))]
    found = merged(draft, chain)
    wanted = {(7, *chain[:n]) for n in range(len(chain) + 1)}
    assert strings(found) == strings(draft) | wanted
    assert len(found.tokens) == len(strings(found))  # nothing twice


def brute_lookup(tokens: Sequence[int], num: int, most: int, least: int) -> list[int]:
    """All earlier places, longest match first, last place first; then the text is read on."""
    for size in range(most, least - 1, -1):
        for start in range(len(tokens) - size - 1, -1, -1):
            if size < len(tokens) and list(tokens[start : start + size]) == list(tokens[-size:]):
                text = list(tokens)
                for i in range(num):
                    text.append(text[start + size + i])
                return text[len(tokens) :]
    return []


def check_lookup(find: Any) -> None:
    rng = np.random.default_rng(1)
    for _ in range(300):
        tokens = rng.integers(0, 4, int(rng.integers(1, 30))).tolist()
        most, least = (int(n) for n in sorted(rng.integers(1, 5, 2))[::-1])
        found = find(tokens, 5, max_match=most, min_match=least)
        assert found == brute_lookup(tokens, 5, most, least)


def test_lookup_equals_brute_force() -> None:
    check_lookup(lookup)
    assert lookup([1, 2, 3, 1, 2, 3], 7, max_match=3, min_match=2) == [1, 2, 3, 1, 2, 3, 1]


def test_planted_lookup_of_the_first_place() -> None:
    def first(tokens: Any, num: int, *, max_match: int, min_match: int) -> list[int]:
        for size in range(max_match, min_match - 1, -1):
            for start in range(len(tokens) - size):
                if tokens[start : start + size] == tokens[-size:]:
                    return tokens[start + size : start + size + num]
        return []

    with pytest.raises(AssertionError):
        check_lookup(first)


@pytest.mark.parametrize("parents", [(0,), (-1, 1), (-1, -1), (-1,), (-1, 0, 0)])
def test_drafts_that_are_no_trees_are_refused(parents: tuple[int, ...]) -> None:
    with pytest.raises(SettingError, match="draft parents must name an earlier node"):
        Draft(tokens=(1, 2), parents=parents)
