"""Muon: steps along momentum whose singular values are made nearly equal."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from burnish.train.optim import Muon
from burnish.train.sharding import gathered, part

QUINTIC = (3.4445, -4.7750, 2.0315)  # steepest at 0: small singular values grow fastest
SMALLEST_NORM = 1e-7


def orthogonalise(
    matrix: Float[Tensor, "*M e d"], *, num_iterations: int = 5, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "*M e d"]:
    """Nearly `U V^T` of each matrix's singular value decomposition, by products only.

    Each iteration maps every singular value s to `a s + b s^3 + c s^5`; after five, values above a
    hundredth of the norm lie in about [0.7, 1.2]. A matrix of zeros stays as it is.
    Source: Newton-Schulz iteration with K. Jordan's coefficients, kellerjordan.github.io/posts/muon
    Oracle: tests/train/test_muon.py::test_orthogonalised_equals_svd
    """
    a, b, c = QUINTIC
    wide = matrix.shape[-2] <= matrix.shape[-1]
    x = matrix.to(dtype)
    x = x if wide else x.mT  # the smaller product
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=SMALLEST_NORM)
    for _ in range(num_iterations):
        square = x @ x.mT
        x = a * x + (b * square + c * (square @ square)) @ x
    return x if wide else x.mT


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon over `hidden`, and an AdamW over the rest, as one optimiser with one state.

    Weights in parts (FSDP2) are gathered one by one: each process orthogonalises the whole matrix
    and keeps its own part of the update.
    Source: K. Jordan, kellerjordan.github.io/posts/muon; arXiv 2502.16982, section 2.2.
    Oracle: tests/train/test_muon.py::test_step_equals_torch
    """

    def __init__(
        self, hidden: list[nn.Parameter], rest: torch.optim.Optimizer | None, settings: Muon
    ) -> None:
        self._settings, self._rest = settings, rest
        decay = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
        groups = [] if rest is None else rest.param_groups
        super().__init__([{"params": hidden, **decay}, *groups], {})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        """One step along the gradients; parameters without one stay as they are."""
        first, *others = self.param_groups
        for parameter in first["params"]:
            if parameter.grad is not None:
                self._move(parameter, first["lr"], first["weight_decay"])
        if self._rest is not None:  # loading a state replaces both, so they are shared anew
            self._rest.param_groups, self._rest.state = others, self.state
            self._rest.step()

    def _move(self, parameter: nn.Parameter, rate: float, weight_decay: float) -> None:
        settings, state = self._settings, self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        gradient = parameter.grad
        assert gradient is not None
        state["momentum"].lerp_(gradient, 1 - settings.momentum)
        update = state["momentum"]
        if settings.nesterov:
            update = gradient.lerp(update, settings.momentum)
        update = orthogonalise(
            gathered(update),
            num_iterations=settings.num_iterations,
            dtype=getattr(torch, settings.precision),
        )
        rate_of_update = rate * _scale(settings, *parameter.shape[-2:])
        parameter.mul_(1 - rate * weight_decay)
        parameter.add_(part(update.to(parameter.dtype), parameter), alpha=-rate_of_update)


def _scale(settings: Muon, num_out: int, num_in: int) -> float:
    if settings.scale == "original":
        return math.sqrt(max(1.0, num_out / num_in))
    return 0.2 * math.sqrt(max(num_out, num_in))  # an entry's mean square is 0.2^2, as AdamW's
