"""Majority votes: the exact chance that K of n samples vote right."""

from collections import Counter
from collections.abc import Hashable, Sequence
from fractions import Fraction
from math import comb

from burnish.base.errors import SettingError


def majority_at_k(classes: Sequence[Hashable | None], right: Hashable, k: int) -> float:
    """The chance that a majority of k of the samples is right, ties split at random.

    `classes` are the samples' answers, None for one without a vote; k are drawn without
    replacement. Exact and unbiased: every subset counts once, by a recursion over the classes.
    Source: ours (multivariate hypergeometric). K = 1 is pass@1, and so is K = 2.
    Oracle: tests/critique/test_voting.py::test_equals_enumeration
    """
    if not 1 <= k <= len(classes):
        raise SettingError("k", k, f"must lie in [1, {len(classes)}]", remedy="Sample more answers")
    counts = Counter(one for one in classes if one is not None)
    mine = counts.pop(right, 0)
    silent = sum(one is None for one in classes)
    total = Fraction(0)
    for votes in range(1, min(mine, k) + 1):
        ways = _ways(list(counts.values()), silent, k - votes, votes)
        for ties, number in enumerate(ways):
            total += Fraction(comb(mine, votes) * number, ties + 1)
    return float(total / comb(len(classes), k))


def _ways(counts: Sequence[int], silent: int, picks: int, limit: int) -> list[int]:
    """Ways to draw `picks` others with at most `limit` of each class, by classes at the limit.

    Classes that cannot reach the limit are drawn from freely, as one heap with the silent ones.
    """
    large = [count for count in counts if count >= limit]
    free = silent + sum(counts) - sum(large)
    if free + limit * len(large) < picks:
        return []
    table = [[0] * (len(large) + 1) for _ in range(picks + 1)]
    for used in range(min(free, picks) + 1):
        table[used][0] = comb(free, used)
    for count in large:
        table = _joined(table, count, limit)
    return table[picks]


def _joined(table: list[list[int]], count: int, limit: int) -> list[list[int]]:
    """The table with one more class."""
    after = [[0] * len(row) for row in table]
    for drawn in range(min(count, limit, len(table) - 1) + 1):
        ways, tied = comb(count, drawn), drawn == limit
        for used in range(len(table) - drawn):
            for ties, number in enumerate(table[used]):
                if number:
                    after[used + drawn][ties + tied] += number * ways
    return after
