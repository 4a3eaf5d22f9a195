"""Muon against singular value decompositions, and against torch's own where there is one."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from burnish.train import muon as muon_module
from burnish.train.muon import MuonWithAdamW, orthogonalise
from burnish.train.optim import Muon

SHAPES = [(7, 13), (13, 7), (11, 11), (1, 5)]
Orthogonalise = Callable[..., torch.Tensor]


def random_matrix(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def check_svd(fn: Orthogonalise) -> None:
    """Singular vectors stay, every singular value goes through the polynomial by itself."""
    for shape in SHAPES:
        matrix = random_matrix(*shape)
        u, s, vt = torch.linalg.svd(matrix.double(), full_matrices=False)
        s = s / s.square().sum().sqrt()
        for _ in range(5):
            s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
        wanted = (u * s) @ vt
        torch.testing.assert_close(fn(matrix), wanted.float(), atol=2e-5, rtol=1e-4)
        torch.testing.assert_close(fn(1e-3 * matrix), wanted.float(), atol=2e-5, rtol=1e-4)
        values = torch.linalg.svdvals(fn(matrix))
        assert 0.6 < values.min() <= values.max() < 1.25


def test_orthogonalised_equals_svd() -> None:
    check_svd(orthogonalise)


def test_planted_iterations_without_the_norm() -> None:
    def without(matrix: torch.Tensor) -> torch.Tensor:
        x = matrix
        for _ in range(5):
            square = x @ x.mT
            x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
        return x

    with pytest.raises(AssertionError):
        check_svd(without)


def test_planted_one_iteration_less() -> None:
    with pytest.raises(AssertionError):
        check_svd(lambda matrix: orthogonalise(matrix, num_iterations=4))


def test_experts_are_matrices_of_their_own() -> None:
    """A leading axis changes nothing, also where one matrix is zero."""
    three = torch.stack([random_matrix(7, 13, seed=i) for i in range(3)])
    three[1] = 0
    found = orthogonalise(three)
    for one, matrix in zip(found, three, strict=True):
        torch.testing.assert_close(one, orthogonalise(matrix))
    assert found[1].abs().max() == 0


def steps_of(optimizer: Any, parameters: list[torch.nn.Parameter], num: int = 5) -> None:
    for step in range(num):
        for index, parameter in enumerate(parameters):
            parameter.grad = random_matrix(*parameter.shape, seed=10 * step + index)
        optimizer.step()


def copies() -> list[torch.nn.Parameter]:
    return [torch.nn.Parameter(random_matrix(*shape, seed=99)) for shape in SHAPES]


def check_torch(settings: Muon) -> None:
    """Five steps; torch computes in bfloat16, whose products are not ours bit for bit."""
    ours, theirs = copies(), copies()
    steps_of(MuonWithAdamW(ours, None, settings), ours)
    torch_muon = torch.optim.Muon(
        theirs,
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        momentum=settings.momentum,
        nesterov=settings.nesterov,
        adjust_lr_fn=settings.scale,
    )
    steps_of(torch_muon, theirs)
    before = copies()
    for one, other, start in zip(ours, theirs, before, strict=True):
        torch.testing.assert_close(one, other, atol=2e-3, rtol=0)
        assert (one - start).abs().max() > 0.01


CASES = [
    Muon(learning_rate=0.02, scale="original", weight_decay=0.3, precision="bfloat16"),
    Muon(learning_rate=0.02, nesterov=False, momentum=0.8, precision="bfloat16"),
]


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch has no Muon")
@pytest.mark.parametrize("settings", CASES, ids=["original", "match_rms_adamw"])
def test_step_equals_torch(settings: Muon) -> None:
    check_torch(settings)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch has no Muon")
@pytest.mark.parametrize("ignored", ["scale", "decay", "nesterov"])
def test_planted_setting_ignored(ignored: str, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = MuonWithAdamW.__init__
    changed: dict[str, dict[str, Any]] = {
        "decay": {"weight_decay": 0.0},
        "nesterov": {"nesterov": False},
    }

    def deaf(self: Any, hidden: Any, rest: Any, settings: Muon) -> None:
        exact(self, hidden, rest, replace(settings, **changed.get(ignored, {})))

    monkeypatch.setattr(MuonWithAdamW, "__init__", deaf)
    if ignored == "scale":
        monkeypatch.setattr(muon_module, "_scale", lambda *given: 1.0)
    with pytest.raises(AssertionError):
        check_torch(CASES[0])


def test_an_update_is_as_large_as_adams() -> None:
    """`match_rms_adamw`: a root mean square of 0.2 times the rate, whatever the shape."""
    for shape in [(37, 41), (59, 11), (11, 59)]:
        parameter = torch.nn.Parameter(torch.zeros(shape))
        steps_of(MuonWithAdamW([parameter], None, Muon(learning_rate=0.01)), [parameter], num=1)
        rms = float(parameter.detach().square().mean().sqrt())
        assert 0.85 < rms / (0.2 * 0.01) < 1.15
