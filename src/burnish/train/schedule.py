"""Learning rate over the steps of a run."""

import math

from burnish.train.settings import TrainSettings


def learning_rate(settings: TrainSettings, step: int, num_steps: int) -> float:
    """Rate of step 0, 1, ... `num_steps - 1`: linear warm-up, then the schedule down to zero.

    Source: SGDR, arXiv 1608.03983, eq. 5 (cosine); warm-up as in arXiv 1706.02677.
    Oracle: tests/train/test_schedule.py::test_closed_form
    """
    warmup = round(settings.warmup_frac * num_steps)
    if step < warmup:
        return settings.learning_rate * (step + 1) / (warmup + 1)
    done = (step - warmup) / max(1, num_steps - warmup)
    scale = {
        "cosine": 0.5 * (1 + math.cos(math.pi * done)),
        "linear": 1 - done,
        "constant": 1.0,
    }[settings.schedule]
    return settings.learning_rate * scale
