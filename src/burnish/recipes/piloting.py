"""The pilot of `improve`: what so many samples teach, and the loss after so many steps."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from burnish.base.meter import Meter
from burnish.base.rng import stream
from burnish.contracts.generation import ScoreRequest
from burnish.contracts.record import Record
from burnish.contracts.task import Task, Verdict
from burnish.distrib.rank import is_main
from burnish.engine.score import score
from burnish.models.handle import ModelHandle
from burnish.models.load import load_model
from burnish.models.precision import trainable_precision
from burnish.recipes.selecting import select_right
from burnish.recipes.settings import ImproveSettings, SelectSettings
from burnish.recipes.teaching import merged, to_examples
from burnish.scaling.tuning import Option, Terms
from burnish.train.fit import CHECKPOINT, fit
from burnish.train.settings import TrainSettings

PLAN = "scaling-plan"  # the value that holds what a pilot planned; None without a pilot
TRAINED_AS_READ = 3  # a trained token costs as much as so many that are read: the plan's rule


@dataclass(frozen=True, kw_only=True)
class PilotSizes:
    """What the pilot answers: so many training tasks, and each of them so many times."""

    num_tasks: int
    num_samples: int
    seed: int

    def tasks(self, train: Sequence[Task]) -> list[Task]:
        """The training tasks of the pilot, drawn with the seed."""
        order = stream(self.seed, "scaling", "tasks").permutation(len(train))
        return [train[place] for place in sorted(order[: self.num_tasks])]


def parts_of_pilot(
    answers: Sequence[Record], dev: Sequence[Task], select: SelectSettings
) -> tuple[list[Record], list[Record]]:
    """Right answers that trainings of the pilot learn from, and those that their loss is of.

    Source: ours. Oracle: tests/recipes/test_piloting.py::test_nothing_is_learned_of_dev_tasks
    """
    measured = {task.id for task in dev}
    sides: tuple[list[Record], list[Record]] = ([], [])
    for record in answers:
        sides[record.task_id in measured].append(record)
    return select_right(sides[0], select), select_right(sides[1], select)


def options(
    answers: Sequence[Record], prompt_tokens: float, settings: ImproveSettings, num_samples: int
) -> list[Option]:
    """What each number of samples a task teaches, and what it costs, by what the pilot saw.

    A task's samples are exchangeable: the first so many of every cyclic order are counted, with
    the extra ones of a task that has no right answer among them.
    Source: ours. Oracle: tests/recipes/test_piloting.py::test_options_by_hand
    """
    by_task: dict[str, list[Record]] = defaultdict(list)
    for record in answers:
        by_task[record.task_id].append(record)
    extra, num_train = settings.sample.num_extra, settings.split.train
    found = []
    for num in range(1, num_samples - extra + 1):
        taught = generated = prompts = 0.0
        for start in range(num_samples):
            pool: list[Record] = []
            for rows in by_task.values():
                order = [rows[(start + step) % num_samples] for step in range(num + extra)]
                solved = any(row.verdict == Verdict.RIGHT for row in order[:num])
                pool += order[: num if solved or not extra else num + extra]
                prompts += 1 if solved or not extra else 2
            taught += len(select_right(pool, settings.select))
            generated += sum(row.tokens for row in pool)
        scale = num_train / (num_samples * len(by_task))
        tokens = scale * (generated + prompts * prompt_tokens)
        found.append(Option(num_samples=num, num_examples=scale * taught, sampling_tokens=tokens))
    return found


def terms_of(examples: Sequence[Any], settings: ImproveSettings) -> Terms:
    """What bounds the plan; `examples` are those of the pilot."""
    length = float(np.mean([len(one) for one in examples]))
    return Terms(
        step_tokens=TRAINED_AS_READ * settings.train.examples_per_step * length,
        budget=settings.scaling.budget,
        extrapolate=settings.scaling.extrapolate,
        seed=settings.seed,
    )


def default_steps(train: TrainSettings, num_examples: float) -> int:
    """Steps of a training on so many answers, as the settings are."""
    steps = train.epochs * int(np.ceil(num_examples / train.examples_per_step))
    return train.num_steps or max(1, steps)


def passes_of(train: TrainSettings, num_examples: float) -> float:
    """How often a training on so many answers sees each."""
    if not train.num_steps:
        return train.epochs
    return train.num_steps * train.examples_per_step / max(1.0, num_examples)


def plan_read(settings: ImproveSettings) -> tuple[str, ...]:
    """The value that a step reads whose settings a pilot plans; none without a pilot."""
    return (PLAN,) if settings.scaling.pilot_tasks else ()


def as_planned(settings: ImproveSettings, look: Callable[[str], Any]) -> ImproveSettings:
    """The settings with the plan's samples and steps; as they are where the default is kept.

    Source: ours. Oracle: tests/recipes/test_scaling_step.py::test_a_pilot_plans_the_rounds
    """
    chosen = look(PLAN)["plan"] if plan_read(settings) else None
    if chosen is None:
        return settings
    return replace(
        settings,
        sample=replace(settings.sample, num_samples=chosen["num_samples"]),
        train=replace(settings.train, num_steps=chosen["num_steps"]),
    )


def pilot_losses(
    folder: Path,
    actor: ModelHandle,
    learned: Sequence[Record],
    measured: Sequence[Record],
    train: TrainSettings,
    meter: Meter,
) -> list[float]:
    """Train a copy of the model, and lose it: mean loss of each measured task [nats a token].

    Tasks come in the order of their ids. Interrupted, training resumes in the folder.
    Source: ours. Oracle: tests/recipes/test_piloting.py::test_losses_are_of_the_trained_model
    """
    model = load_model(
        actor.spec, precision=trainable_precision(actor.precision), device=actor.device
    )
    actor.release()
    examples = to_examples(model, learned)
    train = replace(train, pass_tokens=max(train.pass_tokens, *map(len, examples)))
    fitted = fit(model, examples, train, folder=folder, meter=meter)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    if not is_main():
        return []  # rank 0 measures
    trained = merged(model, fitted)
    asked = [
        ScoreRequest(id=one.id, prompt=one.prompt, completion=one.answer)
        for one in to_examples(trained, measured)
    ]
    by_task: dict[str, list[float]] = defaultdict(list)
    for record, scored in zip(measured, score(trained, asked, meter=meter), strict=True):
        by_task[record.task_id].append(-float(np.mean(scored.logprobs)))
    return [float(np.mean(by_task[name])) for name in sorted(by_task)]
