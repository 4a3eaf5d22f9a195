"""Settings of optimisers: one frozen dataclass each. `burnish.train.optimizers` builds from them.

This module does not load torch, so that settings can be read and checked at once.
"""

from dataclasses import dataclass, field
from typing import Literal

from burnish.base.errors import SettingError


@dataclass(frozen=True, kw_only=True)
class AdamW:
    """Adam with decoupled weight decay.

    `decay`: weight decay of all parameters, or of `matrices` only (norms and biases keep their
    size). `fused` is torch's fused kernel; without it the numbers differ in rounding.
    Source: arXiv 1711.05101, algorithm 2.
    Oracle: tests/train/test_loop.py::test_full_training_by_hand
    """

    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    weight_decay: float = 0.0
    decay: Literal["all", "matrices"] = "all"
    fused: bool = True

    def __post_init__(self) -> None:
        _check_positive(learning_rate=self.learning_rate, eps=self.eps)
        _check_decay(self.weight_decay)
        if not all(0 <= beta < 1 for beta in self.betas):
            raise SettingError("betas", self.betas, "must lie in [0, 1)", remedy="[0.9, 0.95]")


@dataclass(frozen=True, kw_only=True)
class Muon:
    """Orthogonalised momentum for the matrices of the repeated blocks; `rest` for all else.

    `scale`: `match_rms_adamw` makes an update as large as AdamW's, so that both can share a rate
    and a weight decay; `original` wants a rate of its own, about 0.02. `precision` is that of the
    orthogonalisation: bfloat16 is faster on GPUs, float32 agrees between numbers of processes.
    Source: K. Jordan, kellerjordan.github.io/posts/muon; `match_rms_adamw`: arXiv 2502.16982,
    eq. 4. Oracle: tests/train/test_muon.py::test_step_equals_torch
    """

    learning_rate: float = 1e-3
    momentum: float = 0.95
    nesterov: bool = True
    weight_decay: float = 0.0
    num_iterations: int = 5
    scale: Literal["match_rms_adamw", "original"] = "match_rms_adamw"
    precision: Literal["float32", "bfloat16"] = "float32"
    rest: AdamW = field(default_factory=AdamW)

    def __post_init__(self) -> None:
        _check_positive(learning_rate=self.learning_rate, num_iterations=self.num_iterations)
        _check_decay(self.weight_decay)
        if not 0 <= self.momentum < 1:
            raise SettingError("momentum", self.momentum, "must lie in [0, 1)", remedy="Use 0.95")


Optimizer = AdamW | Muon


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        if value <= 0:
            raise SettingError(name, value, "must be positive", remedy="Raise it")


def _check_decay(value: float) -> None:
    if value < 0:
        remedy = "0 turns it off"
        raise SettingError("weight_decay", value, "must not be negative", remedy=remedy)
