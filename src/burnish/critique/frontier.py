"""Accuracy against tokens: Maj@K of revised answers, and of plain ones at as many tokens."""

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from burnish.base.rng import stream
from burnish.base.stats import bootstrap, paired_difference, wilson
from burnish.contracts.task import Task
from burnish.critique.ledger import count_flips, estimate_chain, should_stop
from burnish.critique.refinement import Turn, answer_class
from burnish.critique.voting import majority_at_k
from burnish.data.answers import final_number

NUM_LEVELS = 5


def levels_of(turns: Sequence[Turn]) -> dict[str, int]:
    """The difficulty of each task, 1 (easy) to 5, by its pass rate: fifths of the tasks.

    Measured on samples of a seed of their own, never on those that are evaluated. Ties go by id.
    Source: ours. Oracle: tests/critique/test_frontier.py::test_levels_are_fifths_of_pass_rates
    """
    rights: dict[str, list[bool]] = defaultdict(list)
    for turn in turns:
        rights[turn.task_id].append(turn.right)
    ranked = sorted(rights, key=lambda name: (-sum(rights[name]) / len(rights[name]), name))
    return {name: place * NUM_LEVELS // len(ranked) + 1 for place, name in enumerate(ranked)}


def votes_by_task(turns: Sequence[Turn]) -> dict[str, list[Hashable | None]]:
    """The classes of the answers to each task."""
    found: dict[str, list[Hashable | None]] = defaultdict(list)
    for turn in turns:
        found[turn.task_id].append(turn.answer_class)
    return found


def right_class(task: Task, turns: Sequence[Turn]) -> Hashable:
    """The class of the right answer, from an answer that was right, else from the reference."""
    known = next((t.answer_class for t in turns if t.right and t.task_id == task.id), None)
    if known is not None:
        return known
    number = final_number(task.answer)
    return answer_class(task, number.text if number else task.answer)


def accuracy_at(
    tasks: Sequence[Task], turns: Sequence[Turn], k: int, right: Mapping[str, Hashable]
) -> list[float]:
    """The exact Maj@K of each task."""
    votes = votes_by_task(turns)
    return [majority_at_k(votes[task.id], right[task.id], k) for task in tasks]


def ladder(longest: int) -> list[int]:
    """The numbers 1, 2, 4, ... up to `longest`, which is included."""
    found = [1 << i for i in range(longest.bit_length()) if 1 << i <= longest]
    return found if found[-1] == longest else [*found, longest]


def mean_tokens(rounds: Sequence[Sequence[Turn]]) -> float:
    """Mean tokens per path, with all rounds, critics and prefills."""
    return sum(turn.tokens for turns in rounds for turn in turns) / max(1, len(rounds[0]))


def equal_votes(k: int, rounds: Sequence[Sequence[Turn]]) -> int:
    """The number of plain votes that cost as many tokens as `k` revised ones."""
    plain = mean_tokens(rounds[:1])
    return max(1, round(k * mean_tokens(rounds) / max(plain, 1e-9)))


def compare(
    tasks: Sequence[Task],
    rounds: Sequence[Sequence[Turn]],
    plain: Sequence[Turn],
    levels: Mapping[str, int],
    *,
    seed: int,
) -> list[dict[str, Any]]:
    """For each K: Maj@K revised, plain at K and plain at equal tokens, and their difference.

    `plain` are all plain samples. Where equal tokens ask for more than there are, all are used,
    and `equal` says so. Intervals are over tasks, paired.
    Source: ours. Oracle: tests/critique/test_frontier.py::test_equal_tokens_by_hand
    """
    right = {task.id: right_class(task, [*rounds[-1], *plain]) for task in tasks}
    num_paths, num_plain = len(rounds[-1]) // len(tasks), len(plain) // len(tasks)
    rows: list[dict[str, Any]] = []
    for k in ladder(num_paths):
        wanted = equal_votes(k, rounds)
        votes = min(wanted, num_plain)
        refined = accuracy_at(tasks, rounds[-1], k, right)
        same_k = accuracy_at(tasks, plain, k, right)
        same_tokens = accuracy_at(tasks, plain, votes, right)
        rng = stream(seed, "frontier", k)
        rows.append(
            {
                "k": k,
                "tokens": k * mean_tokens(rounds),
                "refined": mean_interval(refined, rng),
                "plain_same_k": mean_interval(same_k, rng),
                "plain_votes": votes,
                "equal": votes == wanted,
                "plain_same_tokens": mean_interval(same_tokens, rng),
                "difference": paired_difference(same_tokens, refined, rng=rng).to_dict(),
                "by_level": _by_level(tasks, refined, same_tokens, levels),
            }
        )
    return rows


def mean_interval(values: Sequence[float], rng: Any) -> dict[str, Any]:
    """The mean over tasks with its interval; Wilson's where all are alike."""
    if len(set(values)) == 1:
        return wilson(round(sum(values)), len(values)).to_dict() | {"value": values[0]}
    return bootstrap(values, rng=rng, num_resamples=2000).to_dict()


def _by_level(
    tasks: Sequence[Task],
    refined: Sequence[float],
    plain: Sequence[float],
    levels: Mapping[str, int],
) -> dict[str, dict[str, float]]:
    sums: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for task, one, other in zip(tasks, refined, plain, strict=True):
        if task.id in levels:
            sums[levels[task.id]].append((one, other))
    return {
        str(level): {
            "n": len(rows),
            "refined": sum(r for r, _ in rows) / len(rows),
            "plain_same_tokens": sum(p for _, p in rows) / len(rows),
        }
        for level, rows in sorted(sums.items())
    }


def summarise(
    tasks: Sequence[Task],
    rounds: Sequence[Sequence[Turn]],
    levels: Mapping[str, int],
    *,
    margin: float,
) -> dict[str, Any]:
    """Accuracy by round, flips, their forecast, and the critics' own numbers, each apart.

    `discriminability`: the balanced accuracy of the verdicts; `helpfulness`: wrong answers that
    are right after a revision; `false_alarm`: right ones that were flagged. All states are
    counted over critiques.
    """
    pairs = [list(zip(a, b, strict=True)) for a, b in itertools.pairwise(rounds)]
    flips = count_flips([[_flip(a, b) for a, b in pair] for pair in pairs])
    both = [one for pair in pairs for one in pair]
    accuracy = [wilson(sum(t.right for t in turns), len(turns)).to_dict() for turns in rounds]
    numbers: dict[str, Any] = {
        "accuracy": accuracy,
        "flips": flips,
        "chain": estimate_chain(flips) if flips else None,
        "stop": should_stop(accuracy[-1]["value"], flips, margin=margin) if flips else True,
        "flips_by_level": _flips_by_level(pairs, levels),
        "states": dict(Counter(b.state for _, b in both)),
        "num_leaking": sum(b.leaked for _, b in both),
        "num_copied": sum(b.copied for _, b in both),
        "num_unparsable_answers": sum(b.answer_class is None for _, b in both),
        "verdicts": [dict(Counter(t.verdict for t in turns)) for turns in rounds],
        "tokens": {
            "actor": sum(t.actor_tokens for turns in rounds for t in turns),
            "critic": sum(t.critic_tokens for turns in rounds for t in turns),
            "prefilled": sum(t.prefilled_tokens for turns in rounds for t in turns),
            "per_path": mean_tokens(rounds),
        },
    }
    return numbers | _critic_numbers(both)


def _critic_numbers(both: Sequence[tuple[Turn, Turn]]) -> dict[str, Any]:
    wrong = [(a, b) for a, b in both if not a.right]
    right = [(a, b) for a, b in both if a.right]
    revised = [(a, b) for a, b in wrong if b.acted]
    found: dict[str, Any] = {"discriminability": None}
    for name, rows, good in (
        ("detection", wrong, [b.flagged for _, b in wrong]),
        ("false_alarm", right, [b.flagged for _, b in right]),
        ("helpfulness", revised, [b.right for _, b in revised]),
    ):
        found[name] = wilson(sum(good), len(rows)).to_dict() if rows else None
    if wrong and right:
        passed = sum(b.state == "sound" and not b.flagged for _, b in right) / len(right)
        found["discriminability"] = (found["detection"]["value"] + passed) / 2
    return found


def _flip(before: Turn, after: Turn) -> tuple[bool, bool, bool]:
    return before.right, after.right, before.answer_class == after.answer_class


def _flips_by_level(
    pairs: Sequence[Sequence[tuple[Turn, Turn]]], levels: Mapping[str, int]
) -> dict[str, dict[str, int]]:
    rows: dict[int, list[tuple[bool, bool, bool]]] = defaultdict(list)
    for pair in pairs:
        for before, after in pair:
            if before.task_id in levels:
                rows[levels[before.task_id]].append(_flip(before, after))
    return {str(level): count_flips([found])[0] for level, found in sorted(rows.items())}


def plain_needed(num_paths: int, rounds: Sequence[Sequence[Turn]], most: int) -> int:
    """Plain samples of a task that the comparison at equal tokens asks for, at most `most`."""
    return min(most, math.ceil(equal_votes(num_paths, rounds)))
