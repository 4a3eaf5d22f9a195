"""Best of K and votes by score, beside the plain majority: at equal K, and at equal tokens."""

import itertools
import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np

from burnish.base.rng import stream
from burnish.base.stats import paired_difference
from burnish.contracts.task import Task
from burnish.critique.frontier import accuracy_at, ladder, mean_interval, right_class
from burnish.critique.refinement import Turn

MOST_SUBSETS = 256  # of K answers, in which a vote by score is counted; more are drawn
KINDS = ("best_of", "weighted", "majority")


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """Scores of the first answers, in their order, and what they cost: tokens of an answer."""

    scores: Sequence[float]
    tokens: float


def best_of_at_k(rights: Sequence[bool], scores: Sequence[float], k: int) -> float:
    """The chance that the highest score among k of the answers is a right one's.

    Exact over all subsets; equal scores share the choice.
    Source: ours. Oracle: tests/critique/test_selection.py::test_equal_enumeration
    """
    groups: dict[float, list[bool]] = defaultdict(list)
    for right, score in zip(rights, scores, strict=True):
        groups[score].append(right)
    left, found, total = len(rights), 0.0, comb(len(rights), k)
    for score in sorted(groups, reverse=True):
        group = groups[score]
        ways = comb(left, k) - comb(left - len(group), k)
        found += ways / total * sum(group) / len(group)
        left -= len(group)
    return found


def weighted_at_k(
    classes: Sequence[Hashable | None], scores: Sequence[float], right: Hashable, k: int, rng: Any
) -> float:
    """The chance that a vote weighted by scores, among k of the answers, is right.

    Ties share. All subsets are counted where there are few; else so many are drawn.
    Source: ours. Oracle: tests/critique/test_selection.py::test_equal_enumeration
    """
    num = len(classes)
    if comb(num, k) <= MOST_SUBSETS:
        subsets: Any = itertools.combinations(range(num), k)
    else:
        subsets = (rng.choice(num, size=k, replace=False) for _ in range(MOST_SUBSETS))
    return float(np.mean([_weighted(classes, scores, right, some) for some in subsets]))


def _weighted(
    classes: Sequence[Hashable | None], scores: Sequence[float], right: Hashable, some: Any
) -> float:
    sums: dict[Hashable, float] = defaultdict(float)
    for i in some:
        if classes[i] is not None:
            sums[classes[i]] += scores[i]
    best = [one for one, weight in sums.items() if math.isclose(weight, max(sums.values()))]
    return (right in best) / len(best) if best else 0.0


def area_under_curve(rights: Sequence[bool], scores: Sequence[float]) -> float | None:
    """The chance that a right answer has a higher score than a wrong one; ties are half.

    None where all are right, or all wrong. Source: Mann and Whitney 1947.
    Oracle: tests/critique/test_selection.py::test_area_by_hand
    """
    good = np.sort([s for s, r in zip(scores, rights, strict=True) if r])
    bad = np.array([s for s, r in zip(scores, rights, strict=True) if not r])
    if not len(good) or not len(bad):
        return None
    above = len(good) - np.searchsorted(good, bad, side="right")
    equal = len(good) - np.searchsorted(good, bad, side="left") - above
    return float((above + equal / 2).mean() / len(good))


def votes_at_equal_tokens(k: int, answers: Sequence[Turn], scoring: Scoring) -> int:
    """The number of plain votes that cost as many tokens as `k` scored answers."""
    plain = sum(turn.tokens for turn in answers) / max(1, len(answers))
    return max(1, round(k * (plain + scoring.tokens) / max(plain, 1e-9)))


def compare_selection(
    tasks: Sequence[Task],
    answers: Sequence[Turn],
    scoring: Scoring,
    plain: Sequence[Turn],
    *,
    seed: int,
) -> dict[str, Any]:
    """For each K: best of K, the vote by score, the plain majority of the same K answers.

    And the majority of as many plain answers as the same tokens allow, the scorer's included; the
    differences are to that one, paired over tasks. `auroc` is that of the scores, over answers.
    Source: ours. Oracle: tests/critique/test_selection.py::test_planted_probabilities
    """
    right = {task.id: right_class(task, [*answers, *plain]) for task in tasks}
    grouped: dict[str, list[tuple[Turn, float]]] = defaultdict(list)
    for turn, score in zip(answers, scoring.scores, strict=True):
        grouped[turn.task_id].append((turn, score))
    per_answer = sum(turn.tokens for turn in answers) / max(1, len(answers))
    rows = []
    for k in ladder(len(answers) // len(tasks)):
        wanted = votes_at_equal_tokens(k, answers, scoring)
        votes = min(wanted, len(plain) // len(tasks))
        rng = stream(seed, "selection", k)
        values = {
            "best_of": [_best(grouped[task.id], k) for task in tasks],
            "weighted": [_vote(grouped[task.id], right[task.id], k, rng) for task in tasks],
            "majority": accuracy_at(tasks, answers, k, right),
            "plain_same_tokens": accuracy_at(tasks, plain, votes, right),
        }
        rows.append(
            {
                "k": k, "tokens": k * (per_answer + scoring.tokens), "plain_votes": votes,
                "equal": votes == wanted,
                **{name: mean_interval(found, rng) for name, found in values.items()},
                "difference": {
                    name: paired_difference(
                        values["plain_same_tokens"], values[name], rng=rng
                    ).to_dict() for name in KINDS[:2]
                },
            }
        )  # fmt: skip
    auroc = area_under_curve([turn.right for turn in answers], list(scoring.scores))
    return {"rows": rows, "auroc": auroc, "tokens_per_answer": scoring.tokens}


def _best(found: Sequence[tuple[Turn, float]], k: int) -> float:
    return best_of_at_k([turn.right for turn, _ in found], [score for _, score in found], k)


def _vote(found: Sequence[tuple[Turn, float]], right: Hashable, k: int, rng: Any) -> float:
    classes = [turn.answer_class for turn, _ in found]
    return weighted_at_k(classes, [score for _, score in found], right, k, rng)
