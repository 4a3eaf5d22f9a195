"""Samples and steps of a fine-tuning, planned from small trainings of the same task.

Pretraining laws do not speak of fine-tuning: the law here is fitted to the task's own pilot, and
nothing is planned where the pilot does not tell.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import numpy as np
from jaxtyping import Float

from burnish.base.rng import stream
from burnish.base.stats import Estimate, percentile_interval
from burnish.contracts.law import Columns, Law
from burnish.scaling.fitting import Fit, fit_law
from burnish.scaling.settings import FitSettings
from burnish.scaling.terms import Term, TermsLaw

EXPONENTS = (0.1, 0.3, 0.6, 1.0, 1.5)
LEAST_TASKS = 8  # with a right answer, of those that the loss is measured on
FITTING = FitSettings(law="tuning", delta=0, resamples=0)
RESAMPLES = 200
LEAST_REGRET_FRAC = 0.005  # of the default's loss: less is not worth another plan
NUM_STEPS_TRIED = 32  # numbers of steps that are compared, for each number of samples


@dataclass(frozen=True, kw_only=True)
class TuningLaw(TermsLaw):
    """L = A / S^alpha + B / M^beta + sigma: S steps of training on M different answers.

    Source: ours, in the form of Hoffmann et al. 2022, arXiv 2203.15556, equation 2; that the loss
    of fine-tuning falls as a power of the data down to an offset is from arXiv 2402.17193.
    Oracle: tests/scaling/test_tuning.py::test_a_planted_optimum_is_planned
    """

    @property
    def columns(self) -> tuple[str, ...]:
        """Steps, and different answers that are learned from."""
        return ("steps", "examples")

    @property
    def terms(self) -> tuple[Term, ...]:
        """One in steps, one in answers."""
        return (
            Term(amplitude="A", powers={"alpha": "steps"}),
            Term(amplitude="B", powers={"beta": "examples"}),
        )

    @property
    def grid(self) -> Mapping[str, tuple[float, ...]]:
        """Twenty-five pairs."""
        return {"alpha": EXPONENTS, "beta": EXPONENTS}


LAW = cast("Law", TuningLaw())


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One training run of the pilot: its steps and its number of different answers."""

    steps: int
    examples: int


@dataclass(frozen=True, kw_only=True)
class Option:
    """A number of samples a task: what is expected to be learned from, and its cost [tokens]."""

    num_samples: int
    num_examples: float
    sampling_tokens: float


@dataclass(frozen=True, kw_only=True)
class Terms:
    """Limits of a plan.

    `step_tokens` are those of a step, each counted as three that are read; `budget` is a multiple
    of what the default takes, at least 1; `extrapolate` is how far beyond the pilot's largest
    training a plan may go, in steps and in answers.
    """

    step_tokens: float
    budget: float = 1.0
    extrapolate: float = 10.0
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Effort:
    """Samples and steps, what they take [tokens], and the loss that the law predicts [nats]."""

    num_samples: int
    num_steps: int
    num_examples: float
    tokens: float
    loss: float


@dataclass(frozen=True, kw_only=True)
class TuningPlan:
    """`plan` is None where the default is kept, and `why` says why in any case.

    `regret` is the predicted loss of the default less that of the best within the budget;
    `rmse_log_loss` is the law's error on the trainings that it was fitted to.
    """

    why: str
    params: Mapping[str, float] | None = None
    rmse_log_loss: float | None = None
    default: Effort | None = None
    best: Effort | None = None
    plan: Effort | None = None
    regret: Estimate | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON, for `result.json`."""
        return asdict(self)


def make_cells(num_examples: int, epochs: float, examples_per_step: int) -> list[Cell]:
    """Three sizes, each trained for half, once and twice the usual number of passes.

    Source: ours. Oracle: tests/scaling/test_tuning.py::test_the_design_identifies_the_law
    """
    cells = [
        Cell(steps=max(1, round(epochs * passes * size / examples_per_step)), examples=size)
        for size in sorted({max(1, num_examples // part) for part in (4, 2, 1)})
        for passes in (0.5, 1, 2)
    ]
    return list(dict.fromkeys(cells))


def untold(cells: Sequence[Cell], num_tasks: int) -> str:
    """Why these trainings cannot identify the law; "" if they can.

    Source: ours. Oracle: tests/scaling/test_tuning.py::test_what_does_not_tell_keeps_the_default
    """
    if num_tasks < LEAST_TASKS:
        return (
            f"the pilot has right answers to {num_tasks} development tasks, and the loss needs "
            f"{LEAST_TASKS}"
        )
    unknown = LAW.unidentified(_columns(cells))
    if unknown:
        return f"the pilot is too small for its law: {next(iter(unknown.values()))}"
    least = len(LAW.params) + 1
    return f"the law needs {least} different trainings" if len(cells) < least else ""


def plan_tuning(
    cells: Sequence[Cell],
    losses: Float[np.ndarray, "tasks runs"],
    options: Sequence[Option],
    default: tuple[Option, int],
    terms: Terms,
) -> TuningPlan:
    """The samples and steps with the least predicted loss within the budget.

    `losses` has a row a development task and a column a cell [nats].

    The default is kept unless the whole interval of its regret is above zero, and the regret at
    least half a percent of its loss. Intervals come of refits to tasks and trainings drawn with
    replacement, widened for the fitted parameters.
    Source: ours. Oracle: tests/scaling/test_tuning.py::test_a_planted_optimum_is_planned
    """
    if why := untold(cells, len(losses)):
        return TuningPlan(why=why)
    means = losses.mean(axis=0)
    fit = fit_law(LAW, _columns(cells), means, FITTING)
    usual = _effort(fit, *default, terms)
    rest = np.log(fit.predict(_columns(cells)) / means)
    found: dict[str, Any] = {"params": fit.natural, "default": usual}
    found["rmse_log_loss"] = float(np.sqrt(np.square(rest).mean()))
    if not _within(cells, usual, terms):
        why = "the default lies too far beyond the pilot: raise scaling.pilot_tasks"
        return TuningPlan(why=why, **found)
    budget = terms.budget * usual.tokens
    others = (one for option in options for one in _affordable(fit, cells, option, budget, terms))
    best = min((usual, *others), key=lambda one: (one.loss, one.tokens))
    if usual.loss - best.loss < LEAST_REGRET_FRAC * usual.loss:
        why = "within half a percent, the default is the best that the budget allows"
        return TuningPlan(why=why, best=usual, **found)
    regret = _regret(cells, losses, (usual, best), terms.seed)
    found |= {"best": best, "regret": regret}
    if regret.low <= 0:
        why = "the curves do not tell that another plan is better"
        return TuningPlan(why=why, **found)
    return TuningPlan(why="the whole interval of the regret is above zero", plan=best, **found)


def _columns(cells: Sequence[Cell]) -> Columns:
    return {
        name: np.array([float(getattr(cell, name)) for cell in cells])
        for name in ("steps", "examples")
    }


def _effort(fit: Fit, option: Option, num_steps: int, terms: Terms) -> Effort:
    at = {"steps": np.array([float(num_steps)]), "examples": np.array([option.num_examples])}
    return Effort(
        num_samples=option.num_samples,
        num_steps=num_steps,
        num_examples=option.num_examples,
        tokens=option.sampling_tokens + num_steps * terms.step_tokens,
        loss=float(fit.predict(at)[0]),
    )


def _within(cells: Sequence[Cell], effort: Effort, terms: Terms) -> bool:
    """Whether the pilot covers it: not too much larger, and with no more passes.

    More passes than any training of the pilot made could overfit, which the law has no term for.
    """
    most_steps = terms.extrapolate * max(cell.steps for cell in cells)
    most_examples = terms.extrapolate * max(cell.examples for cell in cells)
    most_passes = max(cell.steps / cell.examples for cell in cells)
    return (
        effort.num_examples >= min(cell.examples for cell in cells)
        and effort.num_examples <= most_examples
        and effort.num_steps <= min(most_steps, most_passes * effort.num_examples + 1)
    )


def _affordable(
    fit: Fit, cells: Sequence[Cell], option: Option, budget: float, terms: Terms
) -> list[Effort]:
    """Efforts with these samples that the budget covers and the pilot supports."""
    most = int((budget - option.sampling_tokens) / terms.step_tokens)
    if most < 1 or option.num_examples < 1:
        return []
    tried = np.unique(np.geomspace(1, most, NUM_STEPS_TRIED).round().astype(int)).tolist()
    efforts = [_effort(fit, option, num_steps, terms) for num_steps in tried]
    return [one for one in efforts if _within(cells, one, terms)]


def _regret(
    cells: Sequence[Cell], losses: np.ndarray, pair: tuple[Effort, Effort], seed: int
) -> Estimate:
    """Predicted loss of the first effort less that of the second [nats]."""
    rng = stream(seed, "scaling", "tuning")
    drawn = np.stack([
        losses[rng.integers(0, len(losses), len(losses))].mean(axis=0) for _ in range(RESAMPLES)
    ])  # fmt: skip
    settings = replace(FITTING, resamples=RESAMPLES, seed=seed)
    fit = fit_law(LAW, _columns(cells), losses.mean(axis=0), settings, drawn)
    at = {"steps": np.array([float(one.num_steps) for one in pair]),
          "examples": np.array([one.num_examples for one in pair])}  # fmt: skip
    logs, _ = LAW.surface(at).evaluate(fit.draws)
    draws = np.exp(logs) @ np.array([1.0, -1.0])
    low, high = percentile_interval(draws, num_units=len(cells), num_fitted=len(LAW.params))
    value = pair[0].loss - pair[1].loss
    return Estimate(value=value, low=min(low, value), high=max(high, value), n=len(losses))
