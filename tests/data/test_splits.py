"""Splits: disjoint, sized, stratified, and stable as the pool grows."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burnish.base.errors import InputError, SettingError
from burnish.data.splits import (
    Splits,
    check_disjoint,
    check_pool,
    content_key,
    fitting_sizes,
    split_tasks,
)
from burnish.data.tasks import make_task


def pool(counts, start=0):
    return [
        make_task(f"{group} {i}", "5", group=group)
        for group, count in counts.items()
        for i in range(start, start + count)
    ]


COUNTS = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 15), min_size=1)


def check_splits(split, counts, shares, seed):
    tasks = pool(counts)
    tasks += tasks[::3]  # duplicates must not matter
    total = sum(counts.values())
    sizes = [share * total // 10 for share in shares]
    result = split(tasks, train=sizes[0], dev=sizes[1], heldout=sizes[2], seed=seed)
    parts = [result.train, result.dev, result.heldout]
    assert [len(part) for part in parts] == sizes
    prompts = [task.prompt for part in parts for task in part]
    assert len(set(prompts)) == len(prompts)
    for group, count in counts.items():
        held = sum(task.group == group for task in result.heldout)
        assert abs(held - sizes[2] * count / total) < 1
        used = sum(task.group == group for part in parts for task in part)
        assert abs(used - sum(sizes) * count / total) < 3
    check_disjoint(result)


@settings(max_examples=60, deadline=None)
@given(COUNTS, st.sampled_from([(5, 2, 3), (8, 1, 1), (0, 0, 10), (3, 0, 3)]), st.integers(0, 99))
def test_splits_are_disjoint_sized_and_stratified(counts, shares, seed):
    check_splits(split_tasks, counts, shares, seed)


def random_split(tasks, *, train, dev, heldout, seed):
    tasks = list(tasks)
    random.Random(seed).shuffle(tasks)
    a, b, c = train, train + dev, train + dev + heldout
    return Splits(train=tuple(tasks[:a]), dev=tuple(tasks[a:b]), heldout=tuple(tasks[b:c]))


def test_planted_random_split_of_duplicates():
    with pytest.raises(AssertionError):
        check_splits(random_split, {"a": 12, "b": 8}, (5, 2, 3), 0)
    tasks = pool({"a": 20}) * 2
    with pytest.raises(InputError, match=r"train and heldout must not share tasks \(\d+ shared\)"):
        check_disjoint(random_split(tasks, train=20, dev=0, heldout=20, seed=0))


def test_disguised_duplicates_are_caught():
    a, b = (make_task(text, "5", group="g") for text in ("What  is\n2 + 3?", " what is 2 + 3? "))
    assert a.id != b.id and content_key(a) == content_key(b)
    with pytest.raises(InputError, match="train and dev"):
        check_disjoint(Splits(train=(a,), dev=(b,), heldout=()))
    with pytest.raises(InputError, match=r"must contain 2 tasks .*1 train \+ 1 dev"):
        split_tasks([a, b], train=1, dev=1, heldout=0, seed=0)


def check_growth(split, size):
    """A pool that doubles moves nothing between held-out and the others."""
    for seed in range(10):
        small, large = pool({"a": 30, "b": 30}), pool({"a": size, "b": size})
        sizes = {"train": 30, "dev": 10, "heldout": 20, "seed": seed}
        before, after = split(small, **sizes), split(large, **sizes)
        used = [{t.id for part in (s.train, s.dev) for t in part} for s in (before, after)]
        held = [{t.id for t in s.heldout} for s in (before, after)]
        assert not held[0] & used[1] and not held[1] & used[0]


@pytest.mark.parametrize("size", [31, 60, 200])
def test_growing_pools_move_nothing_in_or_out_of_heldout(size):
    check_growth(split_tasks, size)


def test_planted_split_by_shuffling():
    with pytest.raises(AssertionError):
        check_growth(random_split, 60)


def test_order_of_the_pool_is_nothing_and_the_seed_is_something():
    tasks = pool({"a": 20, "b": 20})
    sizes = {"train": 20, "dev": 5, "heldout": 10}
    assert split_tasks(tasks, **sizes, seed=1) == split_tasks(tasks[::-1], **sizes, seed=1)
    held = [{t.id for t in split_tasks(tasks, **sizes, seed=s).heldout} for s in (1, 2)]
    assert held[0] != held[1]
    groups = Counter(t.group for t in split_tasks(tasks, **sizes, seed=1).heldout)
    assert groups == {"a": 5, "b": 5}


def test_bad_sizes_are_refused():
    with pytest.raises(SettingError, match="dev must not be negative"):
        split_tasks(pool({"a": 5}), train=1, dev=-1, heldout=1, seed=0)
    with pytest.raises(InputError, match="got 5"):
        split_tasks(pool({"a": 5}), train=3, dev=2, heldout=1, seed=0)


@pytest.mark.parametrize("num", [4, 5, 60, 333, 1089])
def test_splits_that_fit_are_offered(num):
    asked = {"heldout": 240, "train": 750, "dev": 100}
    found = fitting_sizes(asked, num)
    assert found is not None and sum(found.values()) <= num
    assert found["heldout"] >= 2 and found["train"] >= 1 and found["dev"] >= 1
    assert all(found[name] <= size for name, size in asked.items())
    if num > 50:
        assert sum(found.values()) >= num - 3
        assert found["train"] / num == pytest.approx(750 / 1090, abs=0.05)
    assert fitting_sizes(asked, 3) is None


def test_a_small_pool_is_refused_with_splits_that_fit():
    tasks = [make_task(f"{i} + 1?", str(i + 1), group="a") for i in range(60)]
    with pytest.raises(InputError, match=r"must contain 1090 tasks.*--set split.train=39 "):
        check_pool(tasks, train=750, dev=100, heldout=240)
    check_pool(tasks, train=40, dev=10, heldout=10)
