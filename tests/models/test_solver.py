"""Solvers of layers: their order as methods for equations, and a layer's step written out again."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError
from scipy.integrate import solve_ivp
from torch import Tensor

from burnish.models import solver as module
from burnish.models.solver import (
    MOULTON,
    WEIGHTS,
    LayerSolver,
    SharedSolver,
    combine,
    ema_weights,
    first_history,
    run_stages,
)
from burnish.models.solver_config import SolverConfig

WIDTH = 5
SOURCE = np.random.default_rng(3)
MATRIX = SOURCE.normal(size=(WIDTH, WIDTH)) / 2
FIELD = torch.tensor(MATRIX)
START = SOURCE.normal(size=WIDTH)


def field(y: Tensor) -> Tensor:
    return FIELD @ y.tanh()


def flow(time: float) -> np.ndarray:
    """Where the equation is after so long, by an integrator of order 8."""
    done = solve_ivp(lambda _, y: MATRIX @ np.tanh(y), (0, time), START, "DOP853", rtol=1e-13,
                     atol=1e-14)  # fmt: skip
    return done.y[:, -1]


def slope(step: Callable[[Tensor, float, list[Tensor]], Tensor], time: float = 1.0) -> float:
    """The order at which an end is approached when steps are halved."""
    errors, sizes = [], [64, 128, 256]
    for num in sizes:
        y, past = torch.tensor(START), list[Tensor]()
        for _ in range(num):
            y = step(y, 1 / num, past)
        errors.append(float(np.abs(y.numpy() - flow(time)).max()))
    return float(np.polyfit(np.log(sizes), np.log(errors), 1)[0] * -1)


def check_slopes() -> None:
    for order in (1, 2, 3, 4):

        def plain(y: Tensor, h: float, past: list[Tensor], order: int = order) -> Tensor:
            stages = run_stages(lambda _, at: h * field(at), y, order)
            return combine(y, WEIGHTS[order], stages)

        assert slope(plain) == pytest.approx(order, abs=0.05)


def test_convergence_slopes() -> None:
    check_slopes()


@pytest.mark.parametrize("bug", ["stage of ODE-Transformer", "weights"])
def test_planted_tables(bug: str, monkeypatch: Any) -> None:
    if bug == "weights":
        monkeypatch.setitem(WEIGHTS, 4, (1 / 4,) * 4)
    else:  # y - k2 + 2 k2, as that code has it
        monkeypatch.setitem(module.STAGES, 3, ((), (1 / 2,), (0.0, 1.0)))
    with pytest.raises(AssertionError):
        check_slopes()


def test_correctors_have_their_order() -> None:
    """Heun, then Adams-Moulton of order 2 or backward Euler: 2 and 1."""

    def corrected(weights: tuple[float, ...] | None) -> float:
        def step(y: Tensor, h: float, past: list[Tensor]) -> Tensor:
            stages = run_stages(lambda _, at: h * field(at), y, 2)
            last = h * field(combine(y, WEIGHTS[2], stages))
            terms = [last, stages[0]]
            return y + last if weights is None else combine(y, weights, terms)

        return slope(step)

    assert corrected(MOULTON[2]) == pytest.approx(2, abs=0.05)
    assert corrected(None) == pytest.approx(1, abs=0.05)
    assert all(sum(weights) == pytest.approx(1) for weights in MOULTON.values())


def check_slower_flow() -> None:
    for gamma, order in itertools.product((0.3, 0.5, 0.8), (2, 4)):
        weights = ema_weights(torch.tensor(gamma, dtype=torch.float64), order)
        total = float(sum(weights))
        assert total == pytest.approx(1 - (1 - gamma) ** order, abs=1e-12)

        def step(y: Tensor, h: float, past: list[Tensor], order: int = order,
                 weights: list[Tensor] = weights) -> Tensor:  # fmt: skip
            return combine(y, weights, run_stages(lambda _, at: h * field(at), y, order))

        if gamma == 0.5:
            assert slope(step) == pytest.approx(0, abs=0.1)  # never the true flow
        assert slope(step, time=total) == pytest.approx(1, abs=0.1)


def test_ema_follows_a_slower_flow() -> None:
    check_slower_flow()


def test_planted_ema_that_begins_at_the_newest(monkeypatch: Any) -> None:
    exact = module.ema_weights
    monkeypatch.setitem(
        globals(), "ema_weights", lambda *a, **k: [2 * w for w in exact(*a, **k)][::-1]
    )
    with pytest.raises(AssertionError):
        check_slower_flow()


def test_closed_forms() -> None:
    """The recurrence, gamma of 0 and 1, Heun as the limit, and linear layers."""
    source = torch.Generator().manual_seed(1)
    y, *stages = torch.randn(5, 7, dtype=torch.float64, generator=source)
    for gamma, order in itertools.product((0.0, 0.2, 0.5, 1.0), (1, 2, 4)):
        weights = ema_weights(torch.tensor(gamma, dtype=torch.float64), order)
        mixed = torch.zeros_like(y)
        for stage in stages[:order]:
            mixed = (1 - gamma) * mixed + gamma * stage
        torch.testing.assert_close(combine(y, weights, stages[:order]), y + mixed)
        if gamma == 1:
            torch.testing.assert_close(y + mixed, y + stages[order - 1])
    tiny = ema_weights(torch.tensor(1e-9, dtype=torch.float64), 2, corrected=True)
    assert [float(w) for w in tiny] == pytest.approx([0.5, 0.5], abs=1e-8)
    matrix = torch.tensor(MATRIX) / 3
    start = torch.tensor(START)
    for order in (1, 2, 3, 4):
        stages = run_stages(lambda _, at: matrix @ at, start, order)
        power, wanted = start, start
        for k in range(1, order + 1):
            power = matrix @ power / k
            wanted = wanted + power
        torch.testing.assert_close(combine(start, WEIGHTS[order], stages), wanted, atol=1e-12,
                                   rtol=0)  # fmt: skip


SETTINGS = [
    SolverConfig(orders=(2, 2, 2)),
    SolverConfig(orders=(4, 1, 3), gamma_scope="channel", gamma_form="raw", corrected=True),
    SolverConfig(orders=(2, 2, 2), predictor="rk", corrector="moulton", history=4),
    SolverConfig(orders=(2, 4, 2), corrector="ema", history=3, function="full", beta=0.3),
    SolverConfig(orders=(2, 2, 2), corrector="none", function="rknorm", gamma_scope="layer"),
    SolverConfig(orders=(2, 2, 2), corrector="euler", function="rknorm"),
    SolverConfig(orders=(2, 2, 2), corrector="mix", function="rknorm", gamma_form="raw"),
]


def norm(x: np.ndarray, of: Any) -> np.ndarray:
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return scaled * of.weight.detach().numpy() + of.bias.detach().numpy()


def reference(config: SolverConfig, shared: SharedSolver, solvers: list[LayerSolver],
              layers: list[np.ndarray], start: np.ndarray) -> np.ndarray:  # fmt: skip
    """The whole stack in numpy, after the methods page, with a square for the mixes."""

    def value(raw: Tensor) -> np.ndarray:
        x = raw.detach().numpy()
        return 1 / (1 + np.exp(-x)) if config.gamma_form == "sigmoid" else x

    y, z, earlier = start, [start], list[np.ndarray]()
    squares = None
    if shared.before is not None and shared.after is not None:
        squares = [w.detach().numpy().reshape(len(layers) + 1, -1)
                   for w in (shared.before, shared.after)]  # fmt: skip
    for number, (matrix, own) in enumerate(zip(layers, solvers, strict=True)):

        def layer(x: np.ndarray, matrix: np.ndarray = matrix) -> np.ndarray:
            return x + np.tanh(x @ matrix)

        def f(x: np.ndarray, index: int, layer: Any = layer) -> np.ndarray:
            if config.function == "increment":
                return layer(x) - x
            return (
                layer(x) if config.function == "full" else norm(layer(x), shared.stage_norms[index])
            )

        order = config.orders[number]
        ks = [f(y, 0)]
        if order == 2:
            ks.append(f(y + ks[0], 1))
        if order == 3:
            ks.append(f(y + ks[0] / 2, 1))
            ks.append(f(y - ks[0] + 2 * ks[1], 2))
        if order == 4:
            for index, part in ((1, 0.5), (2, 0.5), (3, 1.0)):
                ks.append(f(y + part * ks[-1], index))
        if config.predictor == "rk":
            fixed = {1: [1], 2: [1 / 2, 1 / 2], 3: [1 / 6, 2 / 3, 1 / 6],
                     4: [1 / 6, 1 / 3, 1 / 3, 1 / 6]}  # fmt: skip
            p = y + sum(w * k for w, k in zip(fixed[order], ks, strict=True))
        else:
            gamma = value(shared.gamma if own.gamma is None else own.gamma)
            weights = [gamma * (1 - gamma) ** (order - 1 - i) for i in range(order)]
            total = sum(weights) if config.corrected else 1
            p = y + sum(w * k for w, k in zip(weights, ks, strict=True)) / total
        if config.corrector == "none":
            new = p
        elif config.corrector == "mix":
            assert squares is not None
            z.append(norm(p, own.predicted_norm))
            c = sum(squares[0][number + 1, i] * z[i] for i in range(number + 2))
            z[-1] = norm(layer(c), own.corrected_norm)
            new = sum(squares[1][number + 1, i] * z[i] for i in range(number + 2))
        else:
            last = f(p, order if config.function != "rknorm" else -1)
            terms = [last, ks[0], *earlier][: config.history]
            adams = {2: [1 / 2, 1 / 2], 3: [5 / 12, 2 / 3, -1 / 12],
                     4: [9 / 24, 19 / 24, -5 / 24, 1 / 24]}  # fmt: skip
            if config.corrector == "euler":
                new = y + last
            elif config.corrector == "moulton":
                new = y + sum(w * t for w, t in zip(adams[len(terms)], terms, strict=True))
            else:
                alpha = value(shared.alpha)
                new = y + sum(alpha * (1 - alpha) ** j * t for j, t in enumerate(terms))
            earlier.insert(0, ks[0])
        if own.beta is not None:
            beta = float(own.beta.detach())
            new = layer(y) + beta * (new - layer(y))
        y = new
    return y


def make_parts(config: SolverConfig, seed: int = 7) -> tuple[Any, ...]:
    source = torch.Generator().manual_seed(seed)
    shared = SharedSolver(config, WIDTH).double()
    solvers = [LayerSolver(config, i, WIDTH).double() for i in range(len(config.orders))]
    for part in (shared, *solvers):
        for parameter in part.parameters():
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=source)
    size = (len(config.orders), WIDTH, WIDTH)
    return shared, solvers, torch.randn(size, dtype=torch.float64, generator=source) / 2


def run(config: SolverConfig, parts: tuple[Any, ...], rows: Tensor) -> Tensor:
    shared, solvers, layers = parts
    history = first_history(config, rows)
    for own, matrix in zip(solvers, layers, strict=True):

        def evaluate(_: int, at: Tensor, matrix: Tensor = matrix) -> tuple[Tensor, Tensor]:
            change = (at @ matrix).tanh()
            return at + change, change

        rows, history = own(evaluate, rows, history, shared)
    return rows


def check_reference() -> None:
    for config in SETTINGS:
        parts = make_parts(config)
        rows = torch.randn(
            3, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(2)
        )
        with torch.no_grad():
            found = run(config, parts, rows).numpy()
        shared, solvers, layers = parts
        wanted = reference(config, shared, solvers, [m.numpy() for m in layers], rows.numpy())
        np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_equals_a_reference() -> None:
    check_reference()


@pytest.mark.parametrize("bug", ["history", "norm", "mix", "beta"])
def test_planted_steps(bug: str, monkeypatch: Any) -> None:
    if bug == "history":  # the oldest first
        exact = LayerSolver._correct

        def reversed_history(self: Any, f: Any, rows: Any, p: Any, first: Any, history: Any,
                             shared: Any) -> Any:  # fmt: skip
            return exact(self, f, rows, p, first, tuple(reversed(history)), shared)

        monkeypatch.setattr(LayerSolver, "_correct", reversed_history)
    elif bug == "norm":  # one for all stages
        exact_function = LayerSolver._function
        monkeypatch.setattr(
            LayerSolver, "_function", lambda self, index, *rest: exact_function(self, 0, *rest)
        )
    elif bug == "mix":  # a row too early
        monkeypatch.setattr(SharedSolver, "row_of", lambda self, w, layer: list(
            w[layer * self.size : layer * self.size + layer + 2]))  # fmt: skip
    else:
        monkeypatch.setattr(module, "ema_weights", lambda g, order, c=False: [g] * order)
    with pytest.raises(AssertionError):
        check_reference()


def test_gradients_are_those_of_differences() -> None:
    for config in (SETTINGS[1], SETTINGS[3], SETTINGS[6]):
        parts = make_parts(config)
        rows = torch.randn(2, WIDTH, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(lambda x: run(config, parts, x), (rows,))  # noqa: B023
        shared, solvers, _ = parts
        for part in (shared, solvers[1]):
            for parameter in part.parameters():
                run(config, parts, rows).square().sum().backward()
                assert parameter.grad is not None
                with torch.no_grad():
                    direction = torch.randn_like(parameter)
                    wanted = float((parameter.grad * direction).sum())
                    values = []
                    for sign in (1, -1):
                        parameter += sign * 1e-6 * direction
                        values.append(float(run(config, parts, rows).square().sum()))
                        parameter -= sign * 1e-6 * direction
                assert (values[0] - values[1]) / 2e-6 == pytest.approx(wanted, abs=1e-5, rel=1e-5)
                for one in (shared, *solvers):
                    one.zero_grad()


def test_reductions() -> None:
    """Order 1 with weight 1 is the layer; one-hot mixes without norms give the layer at P."""
    rows = torch.randn(3, WIDTH, dtype=torch.float64)
    euler = SolverConfig(orders=(1,) * 3, predictor="rk", corrector="none")
    parts = make_parts(euler)
    wanted = rows
    for matrix in parts[2]:
        wanted = wanted + (wanted @ matrix).tanh()
    torch.testing.assert_close(run(euler, parts, rows), wanted)
    still = (parts[0], parts[1], torch.zeros_like(parts[2]))
    for config in SETTINGS[:3]:  # increments of layers that do nothing
        still = (*make_parts(config)[:2], torch.zeros_like(parts[2]))
        torch.testing.assert_close(run(config, still, rows), rows)
    released = replace(SETTINGS[-1], function="increment")
    shared, solvers, layers = make_parts(released)
    size = shared.size
    for weights in (shared.before, shared.after):
        weights.data = torch.eye(size, dtype=torch.float64).flatten()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_normed", lambda of, x: x)
        found = run(released, (shared, solvers, layers), rows)
        wanted = rows
        for matrix in layers:
            gamma = float(shared.gamma.detach())
            first = (wanted @ matrix).tanh()
            second = ((wanted + first) @ matrix).tanh()
            at = wanted + gamma * (1 - gamma) * first + gamma * second
            wanted = at + (at @ matrix).tanh()
    torch.testing.assert_close(found, wanted)


def test_the_mix_keeps_one_state_a_layer() -> None:
    """At 24 layers what is kept for the backward pass is at most a tenth of stacked states."""
    layers, width = 24, 64
    config = SolverConfig(orders=(1,) * layers, corrector="mix", predictor="rk")
    shared = SharedSolver(config, width)
    solvers = [LayerSolver(config, i, width) for i in range(layers)]

    def kept(run: Callable[[Tensor], Any]) -> int:
        seen: dict[int, int] = {}

        def note(x: Tensor) -> Tensor:
            if x.numel() >= width * 16:
                seen[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
                held.append(x)
            return x

        held: list[Tensor] = []
        with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
            run(torch.randn(16, width, requires_grad=True))
        return sum(seen.values())

    def ours(rows: Tensor) -> Tensor:
        states = [rows]
        for number in range(layers):
            states.append(states[-1] * 0.5)
            module._weighted(shared.row_of(shared.before, number), states)
            module._weighted(shared.row_of(shared.after, number), states)
        return states[-1]

    def naive(rows: Tensor) -> Tensor:
        states = [rows]
        for number in range(layers):
            states.append(states[-1] * 0.5)
            for weights in (shared.before, shared.after):
                row = torch.stack(shared.row_of(weights, number))
                (row[:, None, None] * torch.stack(states)).sum(0)
        return states[-1]

    assert kept(ours) <= 0.1 * kept(naive)
    assert len(solvers) == layers


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(TypeCheckError):
        combine(torch.ones(2, 3), (1.0,), torch.ones(2, 3))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("corrector", "history", "needed"),
    [
        ("mix", 2, True), ("moulton", 2, False), ("moulton", 3, True), ("ema", 3, True),
        ("ema", 2, False), ("euler", 3, False), ("none", 3, False),
    ],
)  # fmt: skip
def test_which_solvers_read_earlier_layers(corrector: str, history: int, needed: bool) -> None:
    solver = SolverConfig(orders=(1, 2), corrector=corrector, history=history)
    assert module.needs_history(solver) is needed
