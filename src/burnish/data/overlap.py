"""Which tasks ask what a text that was trained on asks: word for word, renamed, or nearly."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from burnish.contracts.task import Task
from burnish.data.canonical import canonical_text

SAME, RENAMED, NEAR = "same", "renamed", "near"
NEAR_FRAC = 0.9  # of a task's character 5-grams that are in one trained text
LEAST_NUMBERS = 2  # fewer numbers and an answer are shared by chance
NUMBERS = re.compile(r"\d+(?:\.\d+)?")
SIZE = 5


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """The trained text that a task overlaps with most; `kind` is "" where it is unremarkable.

    `same`: the same canonical text. `renamed`: the same numbers and the same answer in other
    words. `near`: the same numbers and most of its character 5-grams; `containment` is their
    share.
    """

    task_id: str
    kind: str
    containment: float
    trained: str = ""


class Seen:
    """An index of trained prompts, each with the final answer that was learned.

    Source: ours; containment is Broder 1997, on character 5-grams.
    Oracle: tests/data/test_overlap.py::test_overlaps_by_brute_force
    """

    def __init__(self, rows: Iterable[tuple[str, str]]) -> None:
        self._prompts: list[str] = []
        self._same: dict[str, int] = {}
        self._problems: dict[tuple[str, ...], int] = {}
        self._postings: dict[str, list[int]] = defaultdict(list)
        for prompt, answer in sorted(set(rows)):
            text = canonical_text(prompt)
            if text not in self._same:
                self._same[text] = len(self._prompts)
                self._prompts.append(prompt)
                for gram in _grams(text):
                    self._postings[gram].append(self._same[text])
            if problem := _problem(text, answer):
                self._problems.setdefault(problem, self._same[text])

    def overlap(self, task: Task) -> Overlap:
        """What was seen of a task."""
        text = canonical_text(task.prompt)
        place, containment = self._nearest(text)
        near = containment >= NEAR_FRAC and _numbers(self._prompts[place]) == _numbers(text)
        kind = NEAR if near else ""
        if text in self._same:
            kind, place = SAME, self._same[text]
        elif (problem := _problem(text, task.answer)) in self._problems:
            kind, place = RENAMED, self._problems[problem]
        trained = self._prompts[place] if kind else ""
        return Overlap(task_id=task.id, kind=kind, containment=containment, trained=trained)

    def _nearest(self, text: str) -> tuple[int, float]:
        grams = _grams(text)
        counts: dict[int, int] = defaultdict(int)
        for gram in grams:
            for place in self._postings.get(gram, ()):
                counts[place] += 1
        if not counts:
            return 0, 0.0
        place = max(counts, key=lambda one: (counts[one], -one))
        return place, counts[place] / len(grams)


def overlaps(tasks: Sequence[Task], seen: Seen) -> list[Overlap]:
    """The overlap of each task, in their order."""
    return [seen.overlap(task) for task in tasks]


def _problem(text: str, answer: str) -> tuple[str, ...]:
    """The numbers of a text, in any order, and the answer; () where they are too few to tell."""
    found = _numbers(text)
    return (*found, answer.strip()) if len(found) >= LEAST_NUMBERS else ()


def _numbers(text: str) -> list[str]:
    return sorted(NUMBERS.findall(text))


def _grams(text: str) -> set[str]:
    return {text[at : at + SIZE] for at in range(max(len(text) - SIZE + 1, 1))}
