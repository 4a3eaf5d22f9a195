"""What a sceptic asks for: the same base model, given examples or given votes."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from burnish.base.stats import Estimate, wilson
from burnish.contracts.record import Record
from burnish.contracts.task import Task, Verdict
from burnish.data.demonstrations import STOPS, Layout
from burnish.data.math.grade import class_key
from burnish.recipes.answering import Ask
from burnish.recipes.measuring import is_cut, majority, num_right, scored_records
from burnish.recipes.settings import SampleSettings

WORKED = "worked"  # entry of a task's metadata: the reference answer with the work before it


@dataclass(frozen=True, kw_only=True)
class Form:
    """How examples are shown: their layout, and their reference answers alone or with the work."""

    layout: Layout
    worked: bool = False

    @property
    def name(self) -> str:
        """Name of the form in stages and results."""
        return f"{self.layout}-worked" if self.worked else self.layout

    def answer(self, task: Task) -> str:
        """The answer of an example; the final one alone where no worked one is known."""
        worked = task.metadata.get(WORKED)
        return worked if self.worked and isinstance(worked, str) else task.answer


FORMS = tuple(Form(layout=layout, worked=worked) for worked in (False, True) for layout in STOPS)


def forms_for(train: Sequence[Task]) -> tuple[Form, ...]:
    """The forms that differ on these tasks: those with the work only where tasks have it."""
    has_work = any(isinstance(task.metadata.get(WORKED), str) for task in train)
    return tuple(form for form in FORMS if has_work or not form.worked)


def best_form(answers: Mapping[Form, Sequence[Record]]) -> Form:
    """The form with the most right answers, the first of several.

    Source: ours. Oracle: tests/recipes/test_controls.py::test_the_form_with_most_right_answers
    """
    return max(answers, key=lambda form: num_right(answers[form]))


def demonstrations(
    train: Sequence[Task], num: int, rng: np.random.Generator, form: Form
) -> dict[str, tuple[tuple[str, str], ...]]:
    """For each group, `num` training tasks with their reference answers."""
    groups: dict[str, list[Task]] = defaultdict(list)
    for task in train:
        groups[task.group].append(task)
    shown = {}
    for group, tasks in sorted(groups.items()):
        picked = [tasks[i] for i in rng.permutation(len(tasks))[:num]]
        shown[group] = tuple((task.prompt, form.answer(task)) for task in picked)
    return shown


def few_shot_asks(
    asks: Sequence[Ask], shown: Mapping[str, tuple[tuple[str, str], ...]], form: Form
) -> list[Ask]:
    """The same questions with demonstrations of their group before them, in one form."""
    return [
        replace(
            ask,
            sampling=replace(ask.sampling, stop=STOPS[form.layout]),
            demonstrations=shown.get(ask.task.group, ()),
            layout=form.layout,
        )
        for ask in asks
    ]


def num_votes(sampled_tokens: int, vote_tokens: int, max_votes: int) -> int:
    """Votes that cost as many tokens as sampling the training tasks did.

    `vote_tokens`: what one vote on each held-out task takes. Its answers may be longer than those
    that are learned from, so their number alone would not do.
    Source: ours. Oracle: tests/recipes/test_controls.py::test_votes_cost_the_same_tokens
    """
    return max(1, min(max_votes, round(sampled_tokens / max(1, vote_tokens))))


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
    right = [
        majority(samples[task.id], verdicts[task.id], voting_class(task.checker)) for task in tasks
    ]
    return wilson(sum(right), len(right))


def voting_class(checker: str) -> Callable[[str], Hashable]:
    """What tells equal final answers of a task with this checker; texts are their own class."""
    return equal_answers if checker.partition(":")[0] in ("number", "math") else str


def equal_answers(final: str) -> Hashable:
    """The class of a final answer, its own text where it is no answer that can be read."""
    return class_key(final) or final


def sampling_of(settings: SampleSettings) -> dict[str, float]:
    """The sampler's words for these settings."""
    names = ("temperature", "top_k", "top_p", "max_new_tokens")
    return {name: getattr(settings, name) for name in names}
