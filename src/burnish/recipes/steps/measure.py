"""What the measurements on held-out tasks share: their questions, numbers and rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from burnish.base.rng import stream
from burnish.base.stats import Estimate
from burnish.contracts.page import Table
from burnish.contracts.record import Record
from burnish.contracts.step import Cost
from burnish.jobs.step import Given
from burnish.recipes.answering import Ask, greedy_asks
from burnish.recipes.measuring import Measured, measure_answers
from burnish.recipes.steps.answers import MeasuredStep

PROMPT_TOKENS = 32  # guessed, of a task without what all prompts share and is read once
ANSWER_TOKENS = 16  # guessed, of a sum
ANSWER = "answer_tokens"  # where the plan knows better
CONTROLS = "Sceptic's controls"


@dataclass(frozen=True, kw_only=True)
class HeldoutStep(MeasuredStep):
    """Greedy answers to the held-out tasks.

    Source: ours. Oracle: tests/recipes/test_improve.py::test_the_result
    """

    max_new_tokens: int
    seed: int

    @property
    def tasks(self) -> tuple[str, ...]:
        """The held-out tasks."""
        return ("heldout",)

    def asks(self, given: Given) -> list[Ask]:
        """One greedy answer to each."""
        return greedy_asks(given["heldout"], self.max_new_tokens)

    def cost(self, num_items: Mapping[str, int]) -> Cost:
        """One answer to each task."""
        return answers_cost(num_items["heldout"], num_items)

    def measured(self, name: str, given: Given) -> Measured:
        """The numbers of this step's answers."""
        return measure_answers(given[self.name], stream(self.seed, "measure", name))


def answers_cost(num: int, num_items: Mapping[str, int], *, num_prompts: int | None = None) -> Cost:
    """So many answers; a prompt that is answered several times at once is read once."""
    read = num if num_prompts is None else num_prompts
    length = num_items.get(ANSWER, ANSWER_TOKENS)
    return Cost(generated_tokens=num * length, prefilled_tokens=read * PROMPT_TOKENS)


def text_tokens(num_items: Mapping[str, int]) -> int:
    """Of a prompt with its answer, as training reads it."""
    return PROMPT_TOKENS + num_items.get(ANSWER, ANSWER_TOKENS)


def measured_numbers(measured: Measured) -> dict[str, Any]:
    """What `result.json` says of one model on the held-out tasks."""
    return {
        "accuracy": measured.accuracy.to_dict(),
        "highest_accuracy": measured.highest_accuracy,
        "by_group": {group: one.to_dict() for group, one in measured.by_group.items()},
        "length_tokens": measured.length_tokens.to_dict(),
        "parsable": measured.parsable.to_dict(),
        "num_unscored": measured.num_unscored,
        "num_cut": measured.num_cut,
    }


def control_row(
    name: str, accuracy: Estimate, records: Sequence[Record], *, caption: str = ""
) -> Table:
    """One row of the table of controls; the page joins the rows of all steps."""
    tokens = sum(record.tokens for record in records)
    row = [name, accuracy.value, accuracy.low, accuracy.high, accuracy.n, tokens]
    return Table(
        title=CONTROLS,
        columns=["on the held-out tasks", "accuracy", "low", "high", "n", "tokens written"],
        rows=[row],
        caption=caption,
    )
