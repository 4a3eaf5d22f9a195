"""Numbers from judged answers: accuracy, length, the gain and where it comes from."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from burnish.base.errors import IncompleteError
from burnish.base.stats import Estimate, bootstrap, paired_difference, wilson
from burnish.contracts.record import Record
from burnish.contracts.task import Verdict


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One model on one set of tasks."""

    accuracy: Estimate
    by_group: dict[str, Estimate]
    length_tokens: Estimate
    parsable: Estimate
    num_unscored: int


def measure_answers(records: Sequence[Record], rng: np.random.Generator) -> Measured:
    """Accuracy with Wilson's interval over the scored answers; unscored ones are only counted.

    Raises IncompleteError when fewer than two could be scored: one has no interval.
    Source: ours. Oracle: tests/recipes/test_measuring.py::test_unscored_is_not_wrong
    """
    scored = scored_records(records)
    _check_enough(len(scored))
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in scored:
        groups[record.group].append(record)
    return Measured(
        accuracy=_share(scored, Verdict.RIGHT),
        by_group={group: _share(rows, Verdict.RIGHT) for group, rows in sorted(groups.items())},
        length_tokens=bootstrap([record.tokens for record in scored], rng=rng),
        parsable=wilson(sum(r.verdict != Verdict.UNPARSABLE for r in scored), len(scored)),
        num_unscored=len(records) - len(scored),
    )


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
    before, and answers that had a wrong one. `lost` were right before.
    """

    accuracy: Estimate
    newly_parsable: float
    newly_right: float
    lost: float
    length_frac: Estimate  # change of length over the mean length before


def measure_gain(
    before: Sequence[Record], after: Sequence[Record], rng: np.random.Generator
) -> Gain:
    """Paired over tasks; a task that either side could not score is left out of both.

    Raises IncompleteError when fewer than two tasks are left.
    Source: ours. Oracle: tests/recipes/test_measuring.py::test_gain_adds_up
    """
    pairs = [
        (b, a)
        for b, a in zip(before, after, strict=True)
        if Verdict.UNSCORED not in (b.verdict, a.verdict)
    ]
    assert all(b.task_id == a.task_id for b, a in pairs)
    _check_enough(len(pairs))
    right = [[r.verdict == Verdict.RIGHT for r in side] for side in zip(*pairs, strict=True)]
    tokens = [[float(r.tokens) for r in side] for side in zip(*pairs, strict=True)]
    kinds = Counter(
        b.verdict for b, a in pairs if a.verdict == Verdict.RIGHT and b.verdict != Verdict.RIGHT
    )
    lost = sum(b.verdict == Verdict.RIGHT and a.verdict != Verdict.RIGHT for b, a in pairs)
    change = paired_difference(tokens[0], tokens[1], rng=rng)
    mean = max(sum(tokens[0]) / len(pairs), 1e-9)
    return Gain(
        accuracy=paired_difference(
            [float(x) for x in right[0]], [float(x) for x in right[1]], rng=rng
        ),
        newly_parsable=kinds[Verdict.UNPARSABLE] / len(pairs),
        newly_right=kinds[Verdict.WRONG] / len(pairs),
        lost=lost / len(pairs),
        length_frac=Estimate(
            value=change.value / mean, low=change.low / mean, high=change.high / mean, n=change.n
        ),
    )


def majority(records: Sequence[Record], answers_right: dict[str, bool]) -> bool:
    """Whether the most frequent final answer of one task's samples is right; ties go to the first.

    `answers_right` maps each final answer to its verdict. No final answer at all counts as wrong.
    Source: self-consistency, arXiv 2203.11171, section 2.
    Oracle: tests/recipes/test_measuring.py::test_majority_by_hand
    """
    finals = [record.extracted for record in records if record.extracted is not None]
    if not finals:
        return False
    winner, _ = Counter(finals).most_common(1)[0]
    return answers_right[winner]
