"""Numbers of judged answers, against counts by hand and SciPy's intervals."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from burnish.base.errors import IncompleteError
from burnish.contracts.record import Record
from burnish.recipes.measuring import Gain, Measured, majority, measure_answers, measure_gain

Make = Callable[..., Record]
VERDICTS = ("right", "wrong", "unparsable", "unscored")


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def check_unscored(measure: Callable[..., Measured], make_record: Make) -> None:
    """Two right, one wrong, one unparsable; two more that the checker failed on."""
    kinds = ["right", "unscored", "wrong", "right", "unparsable", "unscored"]
    tokens, groups = [2, 50, 4, 6, 8, 70], ["a", "a", "a", "b", "b", "b"]
    rows = zip(kinds, tokens, groups, strict=True)
    measured = measure([make_record(k, tokens=t, group=g) for k, t, g in rows], rng())
    exact = binomtest(2, 4).proportion_ci(method="wilson")
    found = measured.accuracy
    assert (found.value, found.n) == (0.5, 4)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high))
    assert {g: (e.value, e.n) for g, e in measured.by_group.items()} == {
        "a": (0.5, 2),
        "b": (0.5, 2),
    }
    assert (measured.parsable.value, measured.length_tokens.value) == (0.75, 5.0)
    assert measured.num_unscored == 2


def test_unscored_is_not_wrong(make_record: Make) -> None:
    check_unscored(measure_answers, make_record)


def test_planted_unscored_counts_as_wrong(make_record: Make) -> None:
    def mutant(records: Sequence[Record], source: np.random.Generator) -> Measured:
        return measure_answers(
            [replace(r, verdict="wrong") if r.verdict == "unscored" else r for r in records],
            source,
        )

    with pytest.raises(AssertionError):
        check_unscored(mutant, make_record)


def test_nothing_to_measure(make_record: Make) -> None:
    one, lost = make_record("right"), make_record("unscored")
    for records in ([], [lost], [one, lost]):
        with pytest.raises(IncompleteError, match=r"answers\.jsonl"):
            measure_answers(records, rng())
    with pytest.raises(IncompleteError):  # each side has two, no pair has both
        measure_gain([one, one, lost, lost], [lost, lost, one, one], rng())


def pairs(make: Make) -> tuple[list[Record], list[Record]]:
    """Every pair of verdicts, in different numbers."""
    before, after = [], []
    for i, old in enumerate(VERDICTS):
        for j, new in enumerate(VERDICTS):
            for number in range(1 + 3 * i + 2 * j):
                task = f"{old}-{new}-{number}"
                before.append(make(old, task=task, tokens=4 + i))
                after.append(make(new, task=task, tokens=2 + 3 * j))
    return before, after


def check_gain(measure: Callable[..., Gain], make_record: Make) -> None:
    """From the numbers of pairs: i, j count from right, so right-to-wrong are 1 + 2 of them."""
    gain = measure(*pairs(make_record), rng())
    n = sum(1 + 3 * i + 2 * j for i in range(3) for j in range(3))
    newly_right, newly_parsable, lost = 4, 7, 3 + 5
    assert gain.accuracy.n == gain.length_frac.n == n
    assert gain.newly_right == pytest.approx(newly_right / n)
    assert gain.newly_parsable == pytest.approx(newly_parsable / n)
    assert gain.lost == pytest.approx(lost / n)
    assert gain.accuracy.value == pytest.approx(gain.newly_right + gain.newly_parsable - gain.lost)
    old = sum((4 + i) * (1 + 3 * i + 2 * j) for i in range(3) for j in range(3))
    new = sum((2 + 3 * j) * (1 + 3 * i + 2 * j) for i in range(3) for j in range(3))
    assert gain.length_frac.value == pytest.approx(new / old - 1)
    assert gain.length_frac.low < gain.length_frac.value < gain.length_frac.high


def test_gain_adds_up(make_record: Make) -> None:
    check_gain(measure_gain, make_record)


def test_planted_unscored_pairs_stay_in(make_record: Make) -> None:
    def mutant(before: Any, after: Any, source: np.random.Generator) -> Gain:
        def kept(side: Sequence[Record]) -> list[Record]:
            return [replace(r, verdict=r.verdict.replace("unscored", "wrong")) for r in side]

        return measure_gain(kept(before), kept(after), source)

    with pytest.raises(AssertionError):
        check_gain(mutant, make_record)


def test_planted_sides_swapped(make_record: Make) -> None:
    with pytest.raises(AssertionError):
        check_gain(lambda b, a, source: measure_gain(a, b, source), make_record)


def check_majority(vote: Callable[..., bool], make_record: Make) -> None:
    table: list[tuple[list[str | None], bool]] = [
        (["7", "3", "7"], True),
        (["3", "7", "3"], False),
        (["7", "3"], True),  # a tie goes to the first
        (["3", "7"], False),
        ([None, None, None, "7"], True),  # no answer is no vote
        (["3", "8", "7", "7"], True),  # the most, not more than half
        ([None, None], False),
        ([], False),
    ]
    for finals, right in table:
        records = [make_record(extracted=final) for final in finals]
        assert vote(records, {"7": True, "3": False, "8": False}) is right, finals


def test_majority_by_hand(make_record: Make) -> None:
    check_majority(majority, make_record)


def test_planted_any_right_answer_wins(make_record: Make) -> None:
    def mutant(records: Sequence[Record], right: dict[str, bool]) -> bool:
        return any(right.get(str(r.extracted), False) for r in records)

    with pytest.raises(AssertionError):
        check_majority(mutant, make_record)


def test_planted_last_of_a_tie_wins(make_record: Make) -> None:
    with pytest.raises(AssertionError):
        check_majority(lambda records, right: majority(records[::-1], right), make_record)
