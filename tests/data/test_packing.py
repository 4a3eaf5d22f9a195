"""Packing against its promises, by brute accounting."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burnish.base.errors import InputError, SettingError
from burnish.data import packing
from burnish.data.packing import fill_passes, pack


def check_packing(fn, lengths, capacity_tokens, seed):
    bins = fn(lengths, capacity_tokens, rng=np.random.default_rng(seed))
    assert sorted(i for members in bins for i in members) == list(range(len(lengths)))
    totals = [sum(lengths[i] for i in members) for members in bins]
    assert all(0 < total <= capacity_tokens for total in totals)
    assert len(bins) <= 2 * -(-sum(lengths) // capacity_tokens)


@settings(deadline=None)
@given(st.lists(st.integers(1, 20), max_size=60), st.integers(20, 40), st.sampled_from([1, 4, 512]))
def test_packing_keeps_its_promises(lengths, capacity_tokens, window):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "WINDOW", window)
        check_packing(pack, lengths, capacity_tokens, 0)


def one_each(lengths, capacity_tokens, *, rng):
    return [[i] for i in range(len(lengths))]


def off_by_one(lengths, capacity_tokens, *, rng):
    return pack(lengths, capacity_tokens + 1, rng=rng)


def loses_one(lengths, capacity_tokens, *, rng):
    return pack(lengths[:-1], capacity_tokens, rng=rng)


@pytest.mark.parametrize("bug", [one_each, off_by_one, loses_one])
def test_planted_packers_are_caught(bug):
    with pytest.raises(AssertionError):
        check_packing(bug, [3, 4] * 30, 20, 0)


def test_long_lists_fill_well_and_vary():
    lengths = np.random.default_rng(1).integers(20, 200, 3000).tolist()
    first, second = (pack(lengths, 1024, rng=np.random.default_rng(s)) for s in (0, 1))
    assert first != second and first == pack(lengths, 1024, rng=np.random.default_rng(0))
    assert len(first) <= 1.02 * sum(lengths) / 1024 + 1


def test_examples_that_do_not_fit_are_named():
    with pytest.raises(InputError, match="example 1 must have between 1 and 8 tokens, got 9"):
        pack([3, 9], 8, rng=np.random.default_rng(0))
    with pytest.raises(InputError, match=r"example 0 .* got 0"):
        pack([0], 8, rng=np.random.default_rng(0))
    with pytest.raises(SettingError, match="capacity_tokens"):
        pack([1], 0, rng=np.random.default_rng(0))
    assert pack([], 8, rng=np.random.default_rng(0)) == []


def check_passes(fill):
    for lengths in ([], [3], [9], [2, 3, 4], [5, 1, 1, 9, 2, 2, 2, 1]):
        found = list(fill(lengths, 5, rows_of=int))
        assert [length for some in found for length in some] == lengths
        assert all(sum(some) <= 5 or len(some) == 1 for some in found)
        # no pass could have taken the first item of the next
        pairs = itertools.pairwise(found)
        assert all(sum(some) + then[0] > 5 for some, then in pairs)


def test_passes_are_filled_in_order():
    check_passes(fill_passes)


def test_planted_pass_with_one_item_too_many():
    with pytest.raises(AssertionError):
        check_passes(lambda items, most, *, rows_of: fill_passes(items, most + 1, rows_of=rows_of))
