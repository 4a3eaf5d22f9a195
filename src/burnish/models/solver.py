"""Stages, predictor and corrector of a layer, as a step of an ODE solver with learned weights."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from burnish.models.solver_config import SolverConfig

# Stage i is evaluated at y + sum_j STAGES[order][i][j] F_j; Euler, Heun, Kutta, the classic rule.
STAGES = {
    1: ((),),
    2: ((), (1.0,)),
    3: ((), (1 / 2,), (-1.0, 2.0)),
    4: ((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)),
}
WEIGHTS = {
    1: (1.0,),
    2: (1 / 2, 1 / 2),
    3: (1 / 6, 4 / 6, 1 / 6),
    4: (1 / 6, 2 / 6, 2 / 6, 1 / 6),
}
MOULTON = {
    1: (1.0,),
    2: (1 / 2, 1 / 2),
    3: (5 / 12, 8 / 12, -1 / 12),
    4: (9 / 24, 19 / 24, -5 / 24, 1 / 24),
}


def run_stages(evaluate, rows: Float[Tensor, "*N d"], order: int) -> list:
    """The stages of a Runge-Kutta table of an order from 1 to 4; `evaluate(i, y)` is stage i at y.

    Source: Kutta 1901; Hairer, Norsett, Wanner, Solving ODEs I, table II.1.2.
    Oracle: tests/models/test_solver.py::test_convergence_slopes
    """
    stages = []
    for index, parts in enumerate(STAGES[order]):
        at = rows
        for part, stage in zip(parts, stages, strict=True):
            if part:
                at = at + part * stage
        stages.append(evaluate(index, at))
    return stages


def ema_weights(gamma: Float[Tensor, "*d"], order: int, corrected: bool = False) -> list:
    """Weights gamma (1 - gamma)^(order - i) of the stages; `corrected`: divided by their sum.

    The plain weights sum to 1 - (1 - gamma)^order, so with a fixed gamma the step follows the flow
    to that part of the time, at order 1: it is no method of order 4.
    Source: arXiv 2411.03042, from its released code; the correction is Adam's (arXiv 1412.6980).
    Oracle: tests/models/test_solver.py::test_ema_follows_a_slower_flow
    """
    weights = [gamma * (1 - gamma) ** (order - 1 - index) for index in range(order)]
    if not corrected:
        return weights
    total = sum(weights)
    return [weight / total for weight in weights]


def combine(
    rows: Float[Tensor, "*N d"], weights: list | tuple, stages: list
) -> Float[Tensor, "*N d"]:
    """`rows` plus the weighted stages."""
    for weight, stage in zip(weights, stages, strict=True):
        rows = rows + weight * stage
    return rows


class SharedSolver(nn.Module):
    """The solver's parameters that all layers share.

    The weights of the mix are a vector each, so that no optimiser takes them for a matrix.
    """

    def __init__(self, solver: SolverConfig, d_model: int) -> None:
        super().__init__()
        size = len(solver.orders) + 1
        shared = solver.predictor == "ema" and solver.gamma_scope == "shared"
        self.gamma = _gamma(solver, 1) if shared else None
        self.alpha = _gamma(solver, 1) if solver.corrector == "ema" else None
        self.stage_norms = nn.ModuleList(nn.LayerNorm(d_model) for _ in range(solver.num_norms))
        mixes = solver.corrector == "mix"
        self.before = nn.Parameter(_even_rows(size)) if mixes else None
        self.after = nn.Parameter(_even_rows(size)) if mixes else None
        self.size = size

    def row_of(self, weights: Tensor, layer: int) -> list:
        """What a layer's mix gives to the states up to its own."""
        begin = (layer + 1) * self.size
        return list(weights[begin : begin + layer + 2])


class LayerSolver(nn.Module):
    """One step of one layer. All evaluations are made in here, so it is one unit of FSDP2.

    Source: arXiv 2411.03042, from its released code, see docs/papers/pcformer.md.
    Departure: sums are fp32; the blend `beta`; history is passed along instead of kept.
    Oracle: tests/models/test_solver.py::test_equals_a_reference
    """

    def __init__(self, solver: SolverConfig, layer: int, d_model: int) -> None:
        super().__init__()
        self.config, self.layer, self.order = solver, layer, solver.orders[layer]
        width = {"shared": 0, "layer": 1, "channel": d_model}[solver.gamma_scope]
        self.gamma = _gamma(solver, width) if width and solver.predictor == "ema" else None
        self.beta = None if solver.beta is None else nn.Parameter(torch.full((1,), solver.beta))
        mixes = solver.corrector == "mix"
        self.predicted_norm = nn.LayerNorm(d_model) if mixes else None
        self.corrected_norm = nn.LayerNorm(d_model) if mixes else None

    def forward(
        self, evaluate, rows: Float[Tensor, "*N d"], history: tuple, shared: SharedSolver
    ) -> tuple:
        """The stream after the layer, and the history for the next one.

        `evaluate(i, rows)` is the layer's output at evaluation i, and what it adds to the stream.
        """
        plain = []

        def function(index: int, at: Tensor) -> Tensor:
            output, increment = evaluate(index, at.to(rows.dtype))
            if index == 0:
                plain.append(output)
            return self._function(index, output, increment, shared)

        exact = rows.to(torch.promote_types(rows.dtype, torch.float32))
        stages = run_stages(function, exact, self.order)
        predicted = combine(exact, self._weights(shared), stages)
        if self.config.corrector == "mix":
            new, history = self._mix(evaluate, predicted.to(rows.dtype), history, shared)
        else:
            new, history = self._correct(function, exact, predicted, stages[0], history, shared)
        if self.beta is None:
            return new.to(rows.dtype), history
        beta = self.beta.to(exact.dtype)
        return plain[0] + (beta * (new - plain[0])).to(rows.dtype), history

    def _function(self, index: int, output: Tensor, increment: Tensor, shared: SharedSolver):
        exact = torch.promote_types(output.dtype, torch.float32)
        if self.config.function == "increment":
            return increment.to(exact)
        if self.config.function == "full":
            return output.to(exact)
        place = index if index < self.order else len(shared.stage_norms) - 1
        return _normed(shared.stage_norms[place], output.to(exact))

    def _weights(self, shared: SharedSolver):
        if self.config.predictor == "rk":
            return WEIGHTS[self.order]
        gamma = shared.gamma if self.gamma is None else self.gamma
        assert gamma is not None
        return ema_weights(self._value(gamma), self.order, self.config.corrected)

    def _value(self, raw: Tensor) -> Tensor:
        exact = raw.to(torch.promote_types(raw.dtype, torch.float32))
        return exact.sigmoid() if self.config.gamma_form == "sigmoid" else exact

    def _correct(self, function, rows, predicted, first, history: tuple, shared: SharedSolver):
        """None, backward Euler, Adams-Moulton or EMA; history: first stages of earlier layers."""
        if self.config.corrector == "none":
            return predicted, ()
        last = function(self.order, predicted)
        if self.config.corrector == "euler":
            return rows + last, ()
        terms = [last, first, *history][: self.config.history]
        if self.config.corrector == "moulton":
            weights = MOULTON[len(terms)]
        else:
            assert shared.alpha is not None
            alpha = self._value(shared.alpha)
            weights = [alpha * (1 - alpha) ** power for power in range(len(terms))]
        return combine(rows, weights, terms), tuple([first, *history][: self.config.history - 2])

    def _mix(self, evaluate, predicted, history: tuple, shared: SharedSolver):
        """The released corrector; history: the embedding and the corrected states so far.

        One state a layer is kept, and sums are made one by one: memory is O(layers).
        """
        assert shared.before is not None and shared.after is not None
        states = [*history, _normed(self.predicted_norm, predicted)]
        at = _weighted(shared.row_of(shared.before, self.layer), states)
        output, _ = evaluate(self.order, at.to(predicted.dtype))
        states[-1] = _normed(self.corrected_norm, output)
        return _weighted(shared.row_of(shared.after, self.layer), states), tuple(states)


def first_history(solver: SolverConfig, rows: Float[Tensor, "*N d"]) -> tuple:
    """The history of the first layer."""
    return (rows,) if solver.corrector == "mix" else ()


def needs_history(solver: SolverConfig) -> bool:
    """Whether a layer reads what earlier layers left, so that no pass can begin behind them."""
    return solver.corrector == "mix" or (
        solver.corrector in ("moulton", "ema") and solver.history > 2
    )


def _gamma(solver: SolverConfig, width: int) -> nn.Parameter:
    value = solver.gamma
    if solver.gamma_form == "sigmoid":
        value = math.log(value / (1 - value))
    return nn.Parameter(torch.full((width,), value))


def _even_rows(size: int) -> Tensor:
    """A lower triangle whose rows sum to 1, as a vector."""
    rows = torch.ones(size, size).tril()
    return (rows / torch.arange(1, size + 1)[:, None]).flatten()


def _normed(norm, rows: Tensor) -> Tensor:
    """A LayerNorm with fp32 statistics, whatever the dtype."""
    exact = torch.promote_types(rows.dtype, torch.float32)
    weight, bias = norm.weight.to(exact), norm.bias.to(exact)
    return F.layer_norm(rows.to(exact), norm.normalized_shape, weight, bias, norm.eps).to(
        rows.dtype
    )


def _weighted(weights: list, states: list) -> Tensor:
    exact = torch.promote_types(states[0].dtype, torch.float32)
    total = weights[0].to(exact) * states[0]
    for weight, state in zip(weights[1:], states[1:], strict=True):
        total = total + weight.to(exact) * state
    return total
