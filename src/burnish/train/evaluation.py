"""Measure a network before, between and after its steps, without disturbing its training."""

import contextlib
import random
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from burnish.base.items import ItemLog
from burnish.base.log import RecordLog
from burnish.distrib.rank import is_main
from burnish.train.hooks import Hook, TrainingProgress, last_of_each

Measure = Callable[[int], Mapping[str, Any]]


class Evaluation(Hook):
    """Calls `measure(step)` after `step` steps and keeps what it gives in a file, a row a step.

    Before the first step, after every `every_steps` (0: none between) and after the last. What
    the file has is not measured again, so a run that was killed while it evaluated measures what
    is missing. The network is in evaluation mode meanwhile; modes and random states are put back.
    Source: ours. Oracle: tests/train/test_evaluation.py::test_training_is_not_disturbed
    """

    def __init__(
        self, network: nn.Module, measure: Measure, *, path: Path, every_steps: int = 0
    ) -> None:
        self._network, self._measure, self._every = network, measure, every_steps
        self._path, self._log = path, ItemLog(path, fields=("step",))

    def evaluate(self, progress: TrainingProgress) -> None:
        """Measure, if it is time."""
        between = self._every and progress.step % self._every == 0
        if between or progress.step in (0, progress.num_steps):
            self.at(progress.step)

    def at(self, step: int) -> None:
        """Measure after so many steps, unless that was done."""
        if step in self._log.done:
            return
        with undisturbed(self._network):
            row = {"step": step, **self._measure(step)}
        if is_main():
            self._log.keep(row)
        self._log.done[step] = row

    def rows(self) -> list[dict[str, Any]]:
        """What was measured, in the order of steps; in the main process only."""
        return last_of_each(RecordLog(self._path).peek())


@contextlib.contextmanager
def undisturbed(network: nn.Module) -> Generator[None, None, None]:
    """Evaluation mode inside the block; modes and all global random states as before after it.

    Source: ours. Oracle: tests/train/test_evaluation.py::test_training_is_not_disturbed
    """
    modes = [(module, module.training) for module in network.modules()]
    drawn = random.getstate(), np.random.get_state()
    states = torch.get_rng_state(), torch.cuda.get_rng_state_all()
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
        random.setstate(drawn[0])
        np.random.set_state(drawn[1])
        torch.set_rng_state(states[0])
        torch.cuda.set_rng_state_all(states[1])
