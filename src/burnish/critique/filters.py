"""Which critiques are kept: by refinements that succeed, against a placebo, and without a leak."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from burnish.base.errors import SettingError
from burnish.contracts.task import Task
from burnish.critique.triples import Triple
from burnish.data.numbers import clean_text, find_numbers

Kind = Literal["none", "rate", "counterfactual"]


@dataclass(frozen=True, kw_only=True)
class FilterSettings:
    """Of `num_refinements` with the critique, at least `min_right` must be right.

    `counterfactual` keeps a critique whose rate is at least `min_gain` above that of a placebo:
    the critique of another solution, or an empty one. `leaks` says what happens to a critique
    that holds the reference.
    """

    kind: Kind = "counterfactual"
    num_refinements: int = 10
    min_right: int = 3
    min_gain: float = 0.2
    placebo: Literal["shuffled", "empty"] = "shuffled"
    leaks: Literal["drop", "mask", "keep"] = "drop"

    def __post_init__(self) -> None:
        if not 1 <= self.min_right <= self.num_refinements:
            rule = f"must lie in [1, {self.num_refinements}]"
            raise SettingError("min_right", self.min_right, rule, remedy="3 of 10 is usual")


def is_kept(right_with: int, right_placebo: int | None, settings: FilterSettings) -> bool:
    """Whether a critique is kept, given counts of right refinements."""
    if settings.kind == "none":
        return True
    if settings.kind == "rate" or right_placebo is None:
        return right_with >= settings.min_right
    gain = (right_with - right_placebo) / settings.num_refinements
    return right_with >= settings.min_right and gain >= settings.min_gain


def leaks(triple: Triple) -> bool:
    """Whether a triple's critique gives away the reference: `gives_away`."""
    return gives_away(triple.critique, triple.solution.task, triple.solution.text)


def gives_away(critique: str, task: Task, solution: str) -> bool:
    """Whether a critique contains the reference, which neither task nor solution contains.

    A number is compared by value, other references as words.
    Source: ours. Oracle: tests/critique/test_filters.py::test_planted_leaks_are_found
    """
    known = f"{task.prompt}\n{solution}"
    return tells(critique, task.answer) and not tells(known, task.answer)


def tells(text: str, answer: str) -> bool:
    """Whether a text contains an answer."""
    wanted = [number.value for number in find_numbers(clean_text(answer))]
    if len(wanted) == 1 and wanted[0] is not None:
        return wanted[0] in {number.value for number in find_numbers(clean_text(text))}
    words = re.escape(answer.strip().casefold())
    return bool(words) and re.search(rf"(?<!\w){words}(?!\w)", text.casefold()) is not None


def masked(text: str, answer: str, mask: str = "?") -> str:
    """A critique with the reference masked.

    Source: ours. Oracle: tests/critique/test_filters.py::test_masked_critiques_tell_nothing
    """
    wanted = [number.value for number in find_numbers(clean_text(answer))]
    if len(wanted) != 1 or wanted[0] is None:
        return re.sub(re.escape(answer.strip()), mask, text, flags=re.IGNORECASE)
    cleaned = clean_text(text)
    for number in reversed(list(find_numbers(cleaned))):
        if number.value == wanted[0]:
            cleaned = cleaned[: number.start] + mask + cleaned[number.end :]
    return cleaned


def shuffled(triples: Sequence[Triple]) -> list[str]:
    """For each triple the critique of the next one with another task: same form, other content."""
    found = []
    for place, triple in enumerate(triples):
        others = [*triples[place + 1 :], *triples[:place]]
        other = next((o for o in others if o.solution.task.id != triple.solution.task.id), None)
        found.append("" if other is None else other.critique)
    return found
