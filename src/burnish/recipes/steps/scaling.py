"""`scaling`: a pilot whose curves plan the samples a task and the training steps of the rounds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from burnish.base.canonical import content_hash
from burnish.base.errors import SettingError
from burnish.base.meter import Meter
from burnish.base.progress import say
from burnish.base.rng import stream
from burnish.base.stages import Stage, StageResult
from burnish.contracts.page import Chart, Series, Table
from burnish.contracts.record import Claim
from burnish.contracts.step import Cost, Told
from burnish.jobs.step import Composite, Given, Step, Value, Verification, constant
from burnish.recipes.answering import DECODING, Ask, sampled_asks
from burnish.recipes.controls import sampling_of
from burnish.recipes.piloting import (
    PLAN,
    PilotSizes,
    default_steps,
    options,
    parts_of_pilot,
    passes_of,
    pilot_losses,
    terms_of,
)
from burnish.recipes.settings import ImproveSettings, SampleSettings, SelectSettings, TrainSettings
from burnish.recipes.steps import improve_steps
from burnish.recipes.steps.answers import AnswerStep
from burnish.recipes.steps.measure import answers_cost, text_tokens
from burnish.recipes.steps.sample import SAMPLER
from burnish.recipes.steps.select import RIGHT_FRAC
from burnish.recipes.steps.taken import TakenPart, taken_by
from burnish.recipes.teaching import to_examples
from burnish.scaling.tuning import Cell, TuningPlan, make_cells, plan_tuning, untold

ANSWERS, FIT = "scaling-answers", "scaling-fit"


@dataclass(frozen=True, kw_only=True)
class PilotStep(TakenPart, AnswerStep):
    """Answers to a part of the training tasks, and to the development tasks.

    Source: ours. Oracle: tests/recipes/test_scaling_step.py::test_a_pilot_plans_the_rounds
    """

    sizes: PilotSizes
    sample: SampleSettings
    name: str = ANSWERS
    drafted: bool = True

    @property
    def tasks(self) -> tuple[str, ...]:
        """Both splits."""
        return ("train", "dev")

    def asks(self, given: Given) -> list[Ask]:
        """As many samples of every task."""
        tasks = [*self.sizes.tasks(given["train"]), *given["dev"]]
        numbers, how = range(self.sizes.num_samples), sampling_of(self.sample)
        return sampled_asks(tasks, numbers, seed=self.sizes.seed, **how)

    def cost(self, num_items: Mapping[str, int]) -> Cost:
        """All samples; a prompt is read once."""
        num = min(self.sizes.num_tasks, num_items["train"]) + num_items["dev"]
        return answers_cost(num * self.sizes.num_samples, num_items, num_prompts=num)


@dataclass(frozen=True, kw_only=True)
class TrialStep(Step):
    """A small training; its losses on right answers to the development tasks."""

    cell: Cell
    name: str
    select: SelectSettings
    train: TrainSettings
    seed: int
    together = True

    @property
    def reads(self) -> tuple[str, ...]:
        """The base model and the pilot's answers."""
        return ("base", ANSWERS, "dev")

    @property
    def writes(self) -> Mapping[str, str]:
        """Losses by task."""
        return {self.name: ""}

    def cost(self, num_items: Mapping[str, int]) -> Cost:
        """The tokens of all steps."""
        length = text_tokens(num_items)
        return Cost(trained_tokens=self.cell.steps * self.train.examples_per_step * length)

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Train and measure; nothing is saved."""
        learned, measured = parts_of_pilot(given[ANSWERS], given["dev"], self.select)
        order = stream(self.seed, "scaling", "answers").permutation(len(learned))
        chosen = [learned[place] for place in sorted(order[: self.cell.examples])]
        train = replace(self.train, num_steps=self.cell.steps)
        losses = pilot_losses(stage.path, given["base"], chosen, measured, train, meter)
        return {self.name: losses}


@dataclass(frozen=True, kw_only=True)
class CellStep(TakenPart, TrialStep):
    """A training of the pilot, with what it took."""


@dataclass(frozen=True, kw_only=True)
class FitStep(Step):
    """Fits the pilot's losses, and plans: cheap, so that `burnish verify` always makes it again.

    Source: as `plan_tuning`.
    Oracle: tests/recipes/test_scaling_step.py::test_a_forged_plan_is_found
    """

    settings: ImproveSettings
    sizes: PilotSizes
    cells: tuple[CellStep, ...]
    name: str = FIT
    verified: Verification = "again"

    @property
    def reads(self) -> tuple[str, ...]:
        """The pilot's answers and losses; the base model for its tokens."""
        return ("base", "dev", ANSWERS, *(one.name for one in self.cells))

    @property
    def shows(self) -> tuple[str, ...]:
        """How long the pilot took."""
        return tuple(taken_by(name) for name in (ANSWERS, *(one.name for one in self.cells)))

    @property
    def writes(self) -> Mapping[str, str]:
        """The plan."""
        return {PLAN: ""}

    def open(self, name: str, done: StageResult, given: Given) -> dict[str, Any]:
        """The plan."""
        return done.output["plan"]

    def key_of(self, name: str, done: StageResult) -> str:
        """Of the plan."""
        return content_hash(done.output["plan"])

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Fit, plan, and print the regret."""
        found = self._plan(given)
        say(sentence(found.to_dict()))
        return {"plan": found.to_dict()}

    def _plan(self, given: Given) -> TuningPlan:
        learned, measured = parts_of_pilot(given[ANSWERS], given["dev"], self.settings.select)
        cells = [one.cell for one in self.cells]
        if why := untold(cells, len({one.task_id for one in measured})):
            return TuningPlan(why=why)
        examples = to_examples(given["base"].model, learned)
        prompts = float(np.mean([len(one.prompt) for one in examples]))
        measured_ids = {task.id for task in given["dev"]}
        answers = [one for one in given[ANSWERS] if one.task_id not in measured_ids]
        known = options(answers, prompts, self.settings, self.sizes.num_samples)
        usual = next(one for one in known if one.num_samples == self.settings.sample.num_samples)
        losses = np.array([given[one.name] for one in self.cells]).T
        steps = default_steps(self.settings.train, usual.num_examples)
        terms = terms_of(examples, self.settings)
        return plan_tuning(cells, losses, known, (usual, steps), terms)

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """Default beside plan, the regret, what the pilot took, and its curves."""
        plan, cells = done.output["plan"], [one.cell for one in self.cells]
        losses = [float(np.mean(given[one.name])) for one in self.cells]
        rows = [{**asdict(cell), "loss": loss} for cell, loss in zip(cells, losses, strict=True)]
        blocks = [plan_table(plan), *([curves(rows)] if rows else [])]
        numbers = {"scaling": {**plan, "cells": rows}}
        claims = []
        if plan["regret"] is not None:
            taken = [given[name] for name in self.shows]
            claims.append(
                Claim(
                    claim="scaling: regret of the default, nats a token",
                    **plan["regret"],
                    tokens=sum(tokens for tokens, _ in taken),
                    seconds=done.seconds + sum(seconds for _, seconds in taken),
                    artefact=f"stages/{self.name}/done.json",
                )
            )
        return (Told(section="training", numbers=numbers, claims=claims, blocks=blocks),)


@improve_steps.register("scaling")
@dataclass(frozen=True, kw_only=True)
class Scaling(Composite):
    """The pilot, its fit and its plan; `pilot_tasks=0` leaves it out, and the default is kept.

    Each training of the pilot is one of its own, with its whole schedule, on a part of the pilot's
    right answers. Writes `scaling-plan`, which the rounds follow.
    Source: ours; a law of one's own runs, as `burnish scaling` fits them.
    Oracle: tests/recipes/test_scaling_step.py::test_a_pilot_plans_the_rounds
    """

    settings: ImproveSettings
    sizes: PilotSizes
    name: str = "scaling"

    @classmethod
    def configured(cls, settings: ImproveSettings) -> "Scaling":
        """The pilot of a job with these settings. Raises SettingError for too few samples."""
        stage, sample = settings.scaling, settings.sample
        least = sample.num_samples + sample.num_extra
        if stage.pilot_samples and stage.pilot_samples < least:
            rule = f"must be 0, or at least {least}: the samples of a task, with its extra ones"
            raise SettingError("pilot_samples", stage.pilot_samples, rule, remedy="0 takes twice")
        sizes = PilotSizes(
            num_tasks=stage.pilot_tasks,
            num_samples=stage.pilot_samples or 2 * least,
            seed=settings.seed,
        )
        return cls(settings=settings, sizes=sizes)

    @property
    def reads(self) -> tuple[str, ...]:
        """Base model, sampler, and the splits that a plan may see; nothing where it is off."""
        return ("base", self._sampler, "train", "dev", DECODING) if self.is_on else ()

    @property
    def writes(self) -> tuple[str, ...]:
        """The plan."""
        return (PLAN,)

    @property
    def is_on(self) -> bool:
        """Whether there is a pilot."""
        return self.settings.scaling.pilot_tasks > 0

    def planned(self) -> Sequence[Step]:
        """Answers, as many trainings as are expected, and the fit."""
        if not self.is_on:
            return []
        num = int(self.sizes.num_tasks * self.settings.select.max_per_task * RIGHT_FRAC)
        cells = self._cells(num)
        return [self._answers(), *cells, self._fit(cells)]

    def steps(self, look: Callable[[str], Any]) -> Iterator[Step]:
        """No training where the pilot could not tell anything."""
        if not self.is_on:
            return
        yield self._answers()
        learned, measured = parts_of_pilot(look(ANSWERS), look("dev"), self.settings.select)
        cells = self._cells(len(learned))
        if untold([one.cell for one in cells], len({one.task_id for one in measured})):
            cells = []
        yield from cells
        yield self._fit(cells)

    def close(self, values: Mapping[str, Value]) -> Mapping[str, Value]:
        """The plan; None without a pilot."""
        return {PLAN: values[PLAN] if self.is_on else constant(None)}

    @property
    def _sampler(self) -> str:
        return SAMPLER if self.settings.sample.model else "base"

    def _answers(self) -> PilotStep:
        return PilotStep(
            model=self._sampler,
            sizes=self.sizes,
            sample=self.settings.sample,
            precision=self.settings.precision,
        )

    def _cells(self, num_learned: int) -> list[CellStep]:
        train = self.settings.train
        per_task = num_learned / max(1, self.sizes.num_tasks)
        passes = passes_of(train, per_task * self.settings.split.train)
        return [
            CellStep(
                name=f"scaling-{cell.steps}-steps-{cell.examples}-answers",
                cell=cell,
                select=self.settings.select,
                train=train,
                seed=self.settings.seed,
            )
            for cell in make_cells(num_learned, passes, train.examples_per_step)
        ]

    def _fit(self, cells: Sequence[CellStep]) -> FitStep:
        return FitStep(settings=self.settings, sizes=self.sizes, cells=tuple(cells))


def sentence(plan: Mapping[str, Any]) -> str:
    """What the pilot says, for people.

    Source: ours. Oracle: tests/recipes/test_scaling_step.py::test_words_for_each_outcome
    """
    if plan["regret"] is None:
        return f"scaling: the default is kept: {plan['why']}"
    usual, best, found = plan["default"], plan["best"], plan["regret"]
    outcome = "planned" if plan["plan"] is not None else "the default is kept"
    return (
        f"scaling: {usual['num_samples']} samples and {usual['num_steps']} steps (default) against "
        f"{best['num_samples']} and {best['num_steps']}: regret {found['value']:.4f} "
        f"[{found['low']:.4f}, {found['high']:.4f}] nats a token; {outcome}: {plan['why']}"
    )


def plan_table(plan: Mapping[str, Any]) -> Table:
    """The default, and what is best within the budget."""
    names = ("num_samples", "num_examples", "num_steps", "tokens", "loss")
    efforts = {"as the settings are": plan["default"], "best within the budget": plan["best"]}
    return Table(
        title="Samples and steps",
        columns=["", "samples a task", "answers learned from", "steps", "cost (tokens read)",
                 "predicted loss"],
        rows=[[label, *(round(one[name], 4) for name in names)]
              for label, one in efforts.items() if one is not None],
        caption=f"{sentence(plan)}. {fit_words(plan)}The law does not speak of accuracy: burnish "
        "ablate --only scaling.",
    )  # fmt: skip


def fit_words(plan: Mapping[str, Any]) -> str:
    """What the losses are, and how well the law fits; nothing where there is no law."""
    error = plan["rmse_log_loss"]
    if error is None:
        return ""
    return (
        "Losses are of right answers to development tasks, by a law that misses the pilot's own "
        f"trainings by {100 * error:.2g}% (root mean square). "
    )


def curves(rows: Sequence[Mapping[str, Any]]) -> Chart:
    """Loss over steps, for each number of answers."""
    sizes = sorted({row["examples"] for row in rows})
    return Chart(
        title="Pilot: loss on development tasks",
        kind="line",
        series=[
            Series(
                name=f"{size} answers",
                x=[row["steps"] for row in rows if row["examples"] == size],
                y=[row["loss"] for row in rows if row["examples"] == size],
            )
            for size in sizes
        ],
        x_label="training steps",
        y_label="loss (nats a token)",
        x_scale="log",
    )
