"""What may watch a run of the loop, and the hooks that most runs have."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from burnish.base.errors import SettingError
from burnish.base.log import RecordLog
from burnish.base.meter import Meter
from burnish.distrib.rank import is_main
from burnish.train.steps import Batch

Event = Callable[..., None]


@dataclass(frozen=True, kw_only=True)
class TrainingProgress:
    """How far a run is: `step` steps are done, with these losses, over so many tokens."""

    step: int
    num_steps: int
    num_rows: int
    losses: Sequence[float]


@dataclass(frozen=True, kw_only=True)
class PassGradient:
    """One pass's part of a step's gradient: of the sum of its terms over all the step's terms.

    Its own mean gradient has the square norm `square_norm * (step's terms / num_terms)**2`.
    """

    num_terms: int
    square_norm: float


@dataclass(frozen=True, kw_only=True)
class Gradients:
    """Square norms of a step's gradients before clipping: of every pass, and of their sum."""

    passes: Sequence[PassGradient]
    num_terms: int
    square_norm: float


class Hook:
    """Watches a run. Every method does nothing until a subclass says what; all processes call it.

    In this order: `begin` once; at each step `evaluate`, then `gradients`, `numbers` and `step`;
    `evaluate` once more behind the last step.
    """

    wants_gradients = False
    """Whether `gradients` is called; norms of single passes cost a second set of gradients."""

    def begin(self, progress: TrainingProgress) -> None:
        """The run starts at `progress.step`, 0 or where a checkpoint was."""

    def evaluate(self, progress: TrainingProgress) -> None:
        """Measure the network, if it is time: before the first, between and after the last step.

        A checkpoint that was due is written by then. A run that is interrupted here resumes here.
        """

    def gradients(self, found: Gradients) -> None:
        """What a step's gradients were before clipping."""

    def numbers(self) -> Mapping[str, Any]:
        """More numbers of the step that was just computed, to be told with it."""
        return {}

    def step(self, told: Mapping[str, Any], batch: Batch) -> None:
        """A step was taken: its index, loss, gradient norm, rate, terms, seconds, and `numbers`."""


class Tell(Hook):
    """Writes steps, and where a run was taken up again, to a log of events."""

    def __init__(self, event: Event) -> None:
        self._event = event

    def begin(self, progress: TrainingProgress) -> None:
        """Say where the run resumes."""
        if progress.step:
            self._event("training_resumed", step=progress.step, num_steps=progress.num_steps)

    def step(self, told: Mapping[str, Any], batch: Batch) -> None:
        """Say what the step gave."""
        self._event("train_step", **told)


class CountTokens(Hook):
    """Counts the tokens that the network was trained on, those before a resumption included."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def begin(self, progress: TrainingProgress) -> None:
        """Count what an earlier attempt has done."""
        if progress.step:
            self._meter.add("trained_on", progress.num_rows)

    def step(self, told: Mapping[str, Any], batch: Batch) -> None:
        """Count a step."""
        self._meter.add("trained_on", batch.num_rows)


class StepLog(Hook):
    """Appends what is told of each step, but for the time it took, to a file of the run.

    A killed run tells the steps after its checkpoint again, with equal numbers: `last_of_each`.
    """

    def __init__(self, log: RecordLog) -> None:
        self._log = log

    def step(self, told: Mapping[str, Any], batch: Batch) -> None:
        """Append a step, from one process."""
        if is_main():
            self._log.append({name: value for name, value in told.items() if name != "seconds"})


class GradientNorms(Hook):
    """Appends two squared norms a step to a file: of single passes' gradients, and of the whole.

    Rows are `step`, `batch` [terms], `sq_norm` and `loss`, as `scaling noise` reads them. The mean
    of the passes' own squared norms, weighted by their terms, is in expectation that of one batch
    of the mean number of terms, however unequal the passes are; those of all processes count.
    Source: McCandlish et al. 2018, arXiv 1812.06162, appendix A.1; unequal passes: ours.
    Oracle: tests/train/test_hooks.py::test_planted_noise_is_found
    """

    wants_gradients = True

    def __init__(self, log: RecordLog) -> None:
        self._log, self._rows = log, list[dict[str, float]]()

    def gradients(self, found: Gradients) -> None:
        """Note both norms. Raises SettingError for a step of one pass."""
        terms, passes = found.num_terms, [one for one in found.passes if one.num_terms]
        if len(passes) < 2:
            rule = "needs at least two passes per step"
            remedy = "Raise batch_tokens, or lower pass_tokens"
            raise SettingError("gradient_norms", len(passes), rule, remedy=remedy)
        small = sum(one.square_norm / one.num_terms for one in passes) * terms
        self._rows = [
            {"batch": terms / len(passes), "sq_norm": small},
            {"batch": terms, "sq_norm": found.square_norm},
        ]

    def step(self, told: Mapping[str, Any], batch: Batch) -> None:
        """Append the step's rows, from one process."""
        if is_main():
            for row in self._rows:
                self._log.append({"step": told["step"], **row, "loss": told["loss"]})


def last_of_each(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each value of `step`, in order: where there are several, the last."""
    by_step = {row["step"]: row for row in rows}
    return [by_step[step] for step in sorted(by_step)]
