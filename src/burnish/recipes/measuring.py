"""Numbers from judged answers: accuracy, length, the gain and where it comes from."""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from burnish.base.errors import IncompleteError
from burnish.base.stats import Estimate, bootstrap, paired_difference, wilson
from burnish.contracts.record import Record
from burnish.contracts.task import Verdict


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One model on one set of tasks.

    Answers whose checker failed stay in every denominator as not right; `highest_accuracy` is the
    accuracy if all of them were right.
    """

    accuracy: Estimate
    highest_accuracy: float
    by_group: dict[str, Estimate]
    length_tokens: Estimate
    parsable: Estimate
    num_unscored: int
    num_cut: int  # at the token cap: their lengths are lower bounds


def measure_answers(records: Sequence[Record], rng: np.random.Generator) -> Measured:
    """Accuracy with Wilson's interval over all answers; an unscored one is not right.

    Raises IncompleteError when fewer than two could be scored: one has no interval.
    Source: ours. Oracle: tests/recipes/test_measuring.py::test_unscored_stays_in_the_denominator
    """
    num, num_scored = len(records), len(scored_records(records))
    _check_enough(num_scored)
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        groups[record.group].append(record)
    accuracy = _share(records, Verdict.RIGHT)
    parsed = sum(record.verdict in (Verdict.RIGHT, Verdict.WRONG) for record in records)
    return Measured(
        accuracy=accuracy,
        highest_accuracy=accuracy.value + (num - num_scored) / num,
        by_group={group: _share(rows, Verdict.RIGHT) for group, rows in sorted(groups.items())},
        length_tokens=bootstrap([record.tokens for record in records], rng=rng),
        parsable=wilson(parsed, num),
        num_unscored=num - num_scored,
        num_cut=sum(is_cut(record) for record in records),
    )


def num_right(records: Sequence[Record]) -> int:
    """How many answers are right."""
    return sum(record.verdict == Verdict.RIGHT for record in records)


def is_cut(record: Record) -> bool:
    """Whether the answer ran into the token cap: it is at least as long as it says."""
    return record.finish == "length"


def scored_records(records: Sequence[Record]) -> list[Record]:
    """Without those whose checker failed."""
    return [record for record in records if record.verdict != Verdict.UNSCORED]


def _check_enough(num_scored: int) -> None:
    if num_scored < 2:
        raise IncompleteError(
            "judged answers",
            num_scored,
            "must hold two that the checker could score",
            remedy="Look at the tasks of the answers that are 'unscored' in answers.jsonl",
        )


def _share(records: Sequence[Record], verdict: Verdict) -> Estimate:
    return wilson(sum(record.verdict == verdict for record in records), len(records))


@dataclass(frozen=True, kw_only=True)
class Gain:
    """After minus before on the same tasks, and its parts, each a share of the tasks.

    `newly_parsable` and `newly_right` add up to the tasks won: answers that had no final answer
    before (or none that could be scored), and answers that had a wrong one. `lost` were right
    before. `lowest` and `highest` are the gain with every unscored answer counted one way and
    the other.
    """

    accuracy: Estimate
    lowest: float
    highest: float
    newly_parsable: float
    newly_right: float
    lost: float
    length_frac: Estimate  # change of length over the mean length before
    num_newly_cut: int  # ended by themselves before, cut at the token cap after
    num_newly_ended: int  # the other way


def measure_gain(
    before: Sequence[Record], after: Sequence[Record], rng: np.random.Generator
) -> Gain:
    """Paired over all tasks; an answer that could not be scored is not right.

    Raises IncompleteError when fewer than two tasks were scored on both sides.
    Source: ours. Oracle: tests/recipes/test_measuring.py::test_gain_adds_up
    """
    pairs = list(zip(before, after, strict=True))
    assert all(b.task_id == a.task_id for b, a in pairs)
    _check_enough(sum(Verdict.UNSCORED not in (b.verdict, a.verdict) for b, a in pairs))
    right = [[r.verdict == Verdict.RIGHT for r in side] for side in zip(*pairs, strict=True)]
    tokens = [[float(r.tokens) for r in side] for side in zip(*pairs, strict=True)]
    kinds = Counter(
        b.verdict for b, a in pairs if a.verdict == Verdict.RIGHT and b.verdict != Verdict.RIGHT
    )
    lost = sum(b.verdict == Verdict.RIGHT and a.verdict != Verdict.RIGHT for b, a in pairs)
    unscored = [sum(r.verdict == Verdict.UNSCORED for r in side) for side in (before, after)]
    change = paired_difference(tokens[0], tokens[1], rng=rng)
    mean = max(sum(tokens[0]) / len(pairs), 1e-9)
    accuracy = paired_difference(
        [float(x) for x in right[0]], [float(x) for x in right[1]], rng=rng
    )
    return Gain(
        accuracy=accuracy,
        lowest=accuracy.value - unscored[0] / len(pairs),
        highest=accuracy.value + unscored[1] / len(pairs),
        newly_parsable=(kinds[Verdict.UNPARSABLE] + kinds[Verdict.UNSCORED]) / len(pairs),
        newly_right=kinds[Verdict.WRONG] / len(pairs),
        lost=lost / len(pairs),
        length_frac=Estimate(
            value=change.value / mean, low=change.low / mean, high=change.high / mean, n=change.n
        ),
        num_newly_cut=sum(is_cut(a) and not is_cut(b) for b, a in pairs),
        num_newly_ended=sum(is_cut(b) and not is_cut(a) for b, a in pairs),
    )


def majority(
    records: Sequence[Record],
    answers_right: dict[str, bool],
    class_of: Callable[[str], Hashable] = str,
) -> bool:
    """Whether the most frequent final answer of one task's samples is right; ties go to the first.

    `answers_right` maps each final answer to its verdict; `class_of` tells which answers are one,
    so that 1/2 and 0.5 do not split a vote. No final answer at all counts as wrong.
    Source: self-consistency, arXiv 2203.11171, section 2.
    Oracle: tests/recipes/test_measuring.py::test_majority_by_hand
    """
    finals = [record.extracted for record in records if record.extracted is not None]
    if not finals:
        return False
    classes = [class_of(final) for final in finals]
    winner, _ = Counter(classes).most_common(1)[0]
    return answers_right[finals[classes.index(winner)]]
