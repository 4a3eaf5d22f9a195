"""Numbers of judged answers, against counts by hand and SciPy's intervals."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from burnish.base.errors import IncompleteError
from burnish.contracts.record import Record
from burnish.recipes import measuring
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
    exact = binomtest(2, 6).proportion_ci(method="wilson")
    found = measured.accuracy
    assert (found.value, found.n) == (pytest.approx(2 / 6), 6)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high))
    assert {g: (e.value, e.n) for g, e in measured.by_group.items()} == {
        "a": (pytest.approx(1 / 3), 3),
        "b": (pytest.approx(1 / 3), 3),
    }
    assert measured.highest_accuracy == pytest.approx(4 / 6)
    assert measured.parsable.value == 0.5 and measured.length_tokens.value == pytest.approx(140 / 6)
    assert (measured.num_unscored, measured.num_cut) == (2, 0)


def test_unscored_stays_in_the_denominator(make_record: Make) -> None:
    check_unscored(measure_answers, make_record)


def test_cut_answers_are_counted(make_record: Make) -> None:
    records = [make_record("right"), make_record("wrong", finish="length"), make_record("right")]
    assert measure_answers(records, rng()).num_cut == 1


def test_planted_unscored_is_left_out(make_record: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def mutant(records: Sequence[Record], source: np.random.Generator) -> Measured:
        return measure_answers(measuring.scored_records(records), source)

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
    n = sum(1 + 3 * i + 2 * j for i in range(4) for j in range(4))
    newly_right, newly_parsable, lost = 4, 7 + 10, 3 + 5 + 7
    unscored = [sum(1 + 3 * 3 + 2 * j for j in range(4)), sum(1 + 3 * i + 2 * 3 for i in range(4))]
    assert gain.lowest == pytest.approx(gain.accuracy.value - unscored[0] / n)
    assert gain.highest == pytest.approx(gain.accuracy.value + unscored[1] / n)
    assert gain.accuracy.n == gain.length_frac.n == n
    assert gain.newly_right == pytest.approx(newly_right / n)
    assert gain.newly_parsable == pytest.approx(newly_parsable / n)
    assert gain.lost == pytest.approx(lost / n)
    assert gain.accuracy.value == pytest.approx(gain.newly_right + gain.newly_parsable - gain.lost)
    old = sum((4 + i) * (1 + 3 * i + 2 * j) for i in range(4) for j in range(4))
    new = sum((2 + 3 * j) * (1 + 3 * i + 2 * j) for i in range(4) for j in range(4))
    assert gain.length_frac.value == pytest.approx(new / old - 1)
    assert gain.length_frac.low < gain.length_frac.value < gain.length_frac.high


def test_gain_adds_up(make_record: Make) -> None:
    check_gain(measure_gain, make_record)


def test_cut_answers_are_counted_on_both_sides(make_record: Make) -> None:
    cut, ended = "length", "eos"
    ends = [(ended, cut), (cut, cut), (cut, ended), (ended, cut), (cut, cut), (ended, ended)]
    before = [make_record("right", finish=old, task=str(i)) for i, (old, _) in enumerate(ends)]
    after = [make_record("right", finish=new, task=str(i)) for i, (_, new) in enumerate(ends)]
    gain = measure_gain(before, after, rng())
    assert (gain.num_newly_cut, gain.num_newly_ended) == (2, 1)


def test_planted_unscored_pairs_are_left_out(make_record: Make) -> None:
    def mutant(before: Any, after: Any, source: np.random.Generator) -> Gain:
        kept = [(b, a) for b, a in zip(before, after, strict=True)
                if "unscored" not in (b.verdict, a.verdict)]  # fmt: skip
        return measure_gain(*zip(*kept, strict=True), source)

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
