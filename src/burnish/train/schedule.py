"""Learning rate over the steps of a run: each schedule is a frozen dataclass with its settings."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from burnish.base.errors import SettingError


@runtime_checkable
class Schedule(Protocol):
    """Learning rate as a function of the step."""

    def rate(self, peak: float, step: int, num_steps: int) -> float:
        """Rate of step 0, 1, ... `num_steps - 1`; `peak` is the optimiser's own rate."""
        ...


@dataclass(frozen=True, kw_only=True)
class _WarmedUp(ABC):
    """Linear warm-up over `warmup_frac` of the steps, then a scale from 1 down to `final_frac`.

    Source: warm-up as in arXiv 1706.02677, section 2.2.
    Oracle: tests/train/test_schedule.py::test_closed_form
    """

    warmup_frac: float = 0.1
    final_frac: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.warmup_frac < 1:
            rule, remedy = "must lie in [0, 1)", "0 starts at once"
            raise SettingError("warmup_frac", self.warmup_frac, rule, remedy=remedy)
        if not 0 <= self.final_frac <= 1:
            rule, remedy = "must lie in [0, 1]", "0 ends at zero"
            raise SettingError("final_frac", self.final_frac, rule, remedy=remedy)

    def rate(self, peak: float, step: int, num_steps: int) -> float:
        """Rate of step 0, 1, ... `num_steps - 1`."""
        warmup = round(self.warmup_frac * num_steps)
        if step < warmup:
            return peak * (step + 1) / (warmup + 1)
        done = (step - warmup) / max(1, num_steps - warmup)
        return peak * (self.final_frac + (1 - self.final_frac) * self._scale(done))

    @abstractmethod
    def _scale(self, done: float) -> float:
        """Scale after the fraction `done` of the steps behind the warm-up, from 1 to 0."""


@dataclass(frozen=True, kw_only=True)
class Cosine(_WarmedUp):
    """Half a cosine.

    Source: SGDR, arXiv 1608.03983, eq. 5. Oracle: tests/train/test_schedule.py::test_closed_form
    """

    def _scale(self, done: float) -> float:
        return 0.5 * (1 + math.cos(math.pi * done))


@dataclass(frozen=True, kw_only=True)
class Linear(_WarmedUp):
    """A straight line."""

    def _scale(self, done: float) -> float:
        return 1 - done


@dataclass(frozen=True, kw_only=True)
class Constant(_WarmedUp):
    """The peak until the end; `final_frac` has no effect."""

    def _scale(self, done: float) -> float:
        return 1.0


@dataclass(frozen=True, kw_only=True)
class WSD(_WarmedUp):
    """Warm-up, stable, decay: the peak until the last `decay_frac` of all steps.

    A run can be continued from any step of the stable phase, which knows nothing of the end.
    Source: arXiv 2404.06395, section 4 (schedule); arXiv 2405.18392, section 3.1 (shape `sqrt`).
    Oracle: tests/train/test_schedule.py::test_closed_form
    """

    decay_frac: float = 0.2
    shape: Literal["sqrt", "linear"] = "sqrt"

    def __post_init__(self) -> None:
        super().__post_init__()
        left = round(1 - self.warmup_frac, 9)
        if not 0 <= self.decay_frac <= left:
            rule = f"must lie in [0, {left:g}], what the warm-up leaves"
            raise SettingError("decay_frac", self.decay_frac, rule, remedy="0.2 is usual")

    def _scale(self, done: float) -> float:
        decay = min(1.0, self.decay_frac / (1 - self.warmup_frac))  # of the steps behind it
        if done <= 1 - decay:
            return 1.0
        late = (done - (1 - decay)) / decay
        return 1 - (math.sqrt(late) if self.shape == "sqrt" else late)
