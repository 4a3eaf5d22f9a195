"""The one training loop: any module, any source of steps, resumed exactly."""

import math
import time
from collections.abc import Sequence
from pathlib import Path

from burnish.base.errors import IncompleteError
from burnish.base.progress import track
from burnish.train.hooks import Hook, TrainingProgress
from burnish.train.steps import BatchSource
from burnish.train.trainer import Trainer, Training


def run_training(
    training: Training, *, checkpoint: Path, hooks: Sequence[Hook] = ()
) -> TrainingProgress:
    """Train to the last step; repeated with the same file, it resumes exactly.

    The gradient of a step is the mean over all its terms, however many passes and processes it
    took. Hooks are called as `Hook` says.
    Raises IncompleteError when the loss stops being finite.
    Source: ours. Oracle: tests/train/test_loop.py::test_resumed_equals_straight
    """
    source, num_steps = training.source, training.source.num_steps
    trainer = Trainer(training, measures=any(hook.wants_gradients for hook in hooks))
    losses: list[float] = []
    if checkpoint.exists():
        losses = _take_up(trainer, source, checkpoint)

    def progress() -> TrainingProgress:
        done = {"step": len(losses), "num_steps": num_steps}
        return TrainingProgress(**done, num_rows=source.num_rows, losses=losses)

    for hook in hooks:
        hook.begin(progress())
    with track(num_steps, training.label, unit="step") as bar:
        bar.advance(len(losses))
        for index in range(len(losses), num_steps):
            for hook in hooks:
                hook.evaluate(progress())
            losses.append(_step(trainer, training, index, hooks))
            bar.advance(1)
            if (index + 1) % training.save_every_steps == 0 or index + 1 == num_steps:
                trainer.save(checkpoint, {"losses": losses, "source": source.state_dict()})
    trainer.finish()
    for hook in hooks:
        hook.evaluate(progress())
    return progress()


def _take_up(trainer: Trainer, source: BatchSource, checkpoint: Path) -> list[float]:
    """Go on from a checkpoint; returns the losses before it."""
    state = trainer.load(checkpoint)
    losses = list(state["losses"])
    source.load_state_dict(state.get("source", {"step": len(losses)}))  # older files have none
    return losses


def _step(trainer: Trainer, training: Training, index: int, hooks: Sequence[Hook]) -> float:
    """Forward, backward, clip, update; tell the hooks; the loss."""
    started = time.perf_counter()
    batch = training.source.take()
    found = trainer.accumulate(batch)
    _check_finite(training.label, found.loss, found.grad_norm, index)
    rate = trainer.update(index, training.source.num_steps)
    if found.gradients is not None:
        for hook in hooks:
            if hook.wants_gradients:
                hook.gradients(found.gradients)
    told = {"step": index, "loss": found.loss, "grad_norm": found.grad_norm}
    told |= {"learning_rate": rate, "num_terms": batch.num_terms}
    told["seconds"] = time.perf_counter() - started
    for hook in hooks:
        told |= hook.numbers()
    for hook in hooks:
        hook.step(told, batch)
    return found.loss


def _check_finite(label: str, loss: float, norm: float, index: int) -> None:
    if not (math.isfinite(loss) and math.isfinite(norm)):
        value, rule = f"{loss} (gradient norm {norm})", f"must stay finite (step {index})"
        remedy = "Lower learning_rate, or use --precision fp32"
        raise IncompleteError(f"{label} loss", value, rule, remedy=remedy)
