"""What a sceptic asks for: the same base model, given examples or given votes."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from burnish.base.stats import Estimate, wilson
from burnish.contracts.record import Record
from burnish.contracts.task import Task, Verdict
from burnish.recipes.answering import Ask
from burnish.recipes.measuring import is_cut, majority, scored_records
from burnish.recipes.settings import SampleSettings


def demonstrations(
    train: Sequence[Task], num: int, rng: np.random.Generator
) -> dict[str, tuple[tuple[str, str], ...]]:
    """For each group, `num` training tasks with their reference answers."""
    groups: dict[str, list[Task]] = defaultdict(list)
    for task in train:
        groups[task.group].append(task)
    shown = {}
    for group, tasks in sorted(groups.items()):
        picked = rng.permutation(len(tasks))[:num]
        shown[group] = tuple((tasks[i].prompt, tasks[i].answer) for i in picked)
    return shown


def few_shot_asks(asks: Sequence[Ask], shown: dict[str, tuple[tuple[str, str], ...]]) -> list[Ask]:
    """The same questions with demonstrations of their group before them."""
    return [
        Ask(
            task=ask.task,
            name=ask.name,
            sampling=ask.sampling,
            demonstrations=shown.get(ask.task.group, ()),
        )
        for ask in asks
    ]


def num_votes(sampled_tokens: int, num_samples: int, num_tasks: int, max_votes: int) -> int:
    """Votes per held-out task that cost as many tokens as sampling the training tasks did.

    Source: ours. Oracle: tests/recipes/test_controls.py::test_votes_cost_the_same_tokens
    """
    per_sample = sampled_tokens / max(1, num_samples)
    return max(1, min(max_votes, round(sampled_tokens / max(1.0, per_sample * num_tasks))))


def vote_accuracy(tasks: Sequence[Task], records: Sequence[Record]) -> Estimate:
    """Share of tasks whose most frequent final answer is right.

    What the checker could not score, and what was cut at the token cap, has no vote; a task
    without any vote left is not right.
    Source: ours. Oracle: tests/recipes/test_controls.py::test_votes_that_do_not_count
    """
    samples: dict[str, list[Record]] = defaultdict(list)
    verdicts: dict[str, dict[str, bool]] = defaultdict(dict)
    for record in scored_records(records):
        if is_cut(record):
            continue
        samples[record.task_id].append(record)
        if record.extracted is not None:
            verdicts[record.task_id][record.extracted] = record.verdict == Verdict.RIGHT
    right = [majority(samples[task.id], verdicts[task.id]) for task in tasks]
    return wilson(sum(right), len(right))


def sampling_of(settings: SampleSettings) -> dict[str, float]:
    """The sampler's words for these settings."""
    names = ("temperature", "top_k", "top_p", "max_new_tokens")
    return {name: getattr(settings, name) for name in names}
