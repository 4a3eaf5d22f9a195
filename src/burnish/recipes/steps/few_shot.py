"""`few-shot`: the control that shows the base model examples, in the form that suits it best."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from burnish.base.rng import stream
from burnish.base.stages import StageResult
from burnish.contracts.page import Table
from burnish.contracts.record import Record
from burnish.contracts.step import Cost, Told
from burnish.contracts.task import Task
from burnish.jobs.step import Composite, Given, Step
from burnish.recipes.answering import DECODING, Ask, greedy_asks
from burnish.recipes.controls import (
    FORMS,
    Form,
    best_form,
    demonstrations,
    few_shot_asks,
    forms_for,
)
from burnish.recipes.measuring import num_right
from burnish.recipes.settings import ImproveSettings
from burnish.recipes.steps import improve_steps
from burnish.recipes.steps.answers import MeasuredStep
from burnish.recipes.steps.measure import (
    HeldoutStep,
    answers_cost,
    control_row,
    measured_numbers,
)

CONTROL = "control-few-shot"
MEANINGS = {
    "turns": "turns of a chat",
    "message": "one message of the user's",
    "block": "a plain text to continue",
    "turns-worked": "turns of a chat, answers with their work",
    "message-worked": "one message of the user's, answers with their work",
    "block-worked": "a plain text to continue, answers with their work",
}


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Which examples are shown: as many training tasks of each group, drawn once for all forms."""

    num: int
    seed: int

    def before(self, asks: Sequence[Ask], train: Sequence[Task], form: Form) -> list[Ask]:
        """The questions with the examples of their group before them."""
        shown = demonstrations(train, self.num, stream(self.seed, "few-shot"), form)
        return few_shot_asks(asks, shown, form)


@dataclass(frozen=True, kw_only=True)
class FewShotDevStep(MeasuredStep):
    """The base model answers the development tasks with examples in one form.

    Source: ours.
    Oracle: tests/recipes/test_few_shot.py::test_the_form_is_chosen_on_development_tasks
    """

    form: Form
    examples: Examples
    max_new_tokens: int
    model: str = "base"

    @property
    def tasks(self) -> tuple[str, ...]:
        """The development tasks, and the training tasks that are shown."""
        return ("dev", "train")

    def asks(self, given: Given) -> list[Ask]:
        """One greedy answer to each, after the examples."""
        asks = greedy_asks(given["dev"], self.max_new_tokens)
        return self.examples.before(asks, given["train"], self.form)

    def cost(self, num_items: Mapping[str, int]) -> Cost:
        """One answer to each task; the examples are shared and read once a group."""
        return answers_cost(num_items["dev"], num_items)


@dataclass(frozen=True, kw_only=True)
class FewShotStep(HeldoutStep):
    """The base model with training tasks of the same group as examples.

    Source: ours.
    Oracle: tests/recipes/test_controls.py::test_demonstrations_are_training_tasks_of_the_same_group
    """

    form: Form
    examples: Examples
    name: str = CONTROL
    model: str = "base"

    @property
    def tasks(self) -> tuple[str, ...]:
        """The held-out tasks, and the training tasks that are shown."""
        return ("heldout", "train")

    def asks(self, given: Given) -> list[Ask]:
        """The greedy questions with examples before them."""
        return self.examples.before(super().asks(given), given["train"], self.form)

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """The control's accuracy."""
        found = self.measured("few-shot", given)
        numbers = {"form": self.form.name, **measured_numbers(found)}
        name = f"base model, few-shot ({MEANINGS[self.form.name]})"
        return (
            *super().tell(done, given),
            Told(
                section="controls",
                numbers={"controls": {"few_shot": numbers}},
                claims=[self.claim("accuracy few-shot", found.accuracy, given, done)],
                blocks=[control_row(name, found.accuracy, given[self.name])],
            ),
        )


@improve_steps.register("few-shot")
@dataclass(frozen=True, kw_only=True)
class FewShot(Composite):
    """Examples in every form before the development tasks; in the best, before the held-out ones.

    So that the control is as strong as the form of its prompt can make it.
    Source: ours.
    Oracle: tests/recipes/test_few_shot.py::test_the_form_is_chosen_on_development_tasks
    """

    settings: ImproveSettings
    name: str = "few-shot"

    @classmethod
    def configured(cls, settings: ImproveSettings) -> "FewShot":
        """The control of a job with these settings."""
        return cls(settings=settings)

    @property
    def reads(self) -> tuple[str, ...]:
        """The base model, the tasks, and how to decode."""
        return ("base", "train", "dev", "heldout", DECODING)

    def planned(self) -> Sequence[Step]:
        """Every form, as if the tasks came with worked answers."""
        return [*map(self._on_dev, FORMS), self._on_heldout(FORMS[0])]

    def steps(self, look: Callable[[str], Any]) -> Iterator[Step]:
        """Each form on the development tasks, then the best one on the held-out tasks."""
        for form in forms_for(look("train")):
            yield self._on_dev(form)
        yield self._on_heldout(best_form(self._answers(look)))

    def tell(self, look: Callable[[str], Any]) -> Sequence[Told]:
        """What each form scored on the development tasks, and which was chosen."""
        answers = self._answers(look)
        chosen = best_form(answers)
        scores = {form.name: num_right(records) for form, records in answers.items()}
        forms = {name: {"dev_right": right} for name, right in scores.items()}
        numbers = {"forms": forms, "dev_tasks": len(look("dev"))}
        rows = [
            [MEANINGS[name], f"{right} of {len(look('dev'))}", "chosen" * (name == chosen.name)]
            for name, right in scores.items()
        ]
        table = Table(
            title="Forms of the few-shot examples",
            columns=["examples as", "right on the development tasks", ""],
            rows=rows,
            caption=(
                f"{self.settings.measure.num_demonstrations} training tasks of the same group are "
                "shown. The development tasks choose the form; the held-out tasks do not."
            ),
        )
        told = Told(section="controls", numbers={"controls": {"few_shot": numbers}}, blocks=[table])
        return (told,)

    def _answers(self, look: Callable[[str], Any]) -> dict[Form, Sequence[Record]]:
        return {form: look(self._on_dev(form).name) for form in forms_for(look("train"))}

    def _examples(self) -> Examples:
        return Examples(num=self.settings.measure.num_demonstrations, seed=self.settings.seed)

    def _on_dev(self, form: Form) -> FewShotDevStep:
        return FewShotDevStep(
            name=f"few-shot-dev-{form.name}",
            form=form,
            examples=self._examples(),
            max_new_tokens=self.settings.measure.max_new_tokens,
            precision=self.settings.precision,
        )

    def _on_heldout(self, form: Form) -> FewShotStep:
        return FewShotStep(
            form=form,
            examples=self._examples(),
            max_new_tokens=self.settings.measure.max_new_tokens,
            precision=self.settings.precision,
            seed=self.settings.seed,
        )
