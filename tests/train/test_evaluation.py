"""Evaluations: when they come, that they disturb nothing, and what a killed one costs."""

import contextlib
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixtures.training import SETTINGS, fresh, train, weights

from burnish.train import evaluation as evaluation_module
from burnish.train.evaluation import Evaluation, undisturbed

EVERY_FOUR = 4


class Killed(BaseException):
    """Ends a run anywhere, as a signal would."""


def run(source: Path, folder: Path, *, die_at: int | None = None, every: int = EVERY_FOUR) -> Any:
    """Six steps with dropout; evaluations that draw from every random stream."""
    folder.mkdir(exist_ok=True)
    model, asked, modes = fresh(source), [], []

    def measure(step: int) -> dict[str, Any]:
        asked.append(step)
        modes.append({module.training for module in model.network.modules()})
        random.random(), np.random.rand(), torch.rand(2)
        if step == die_at:
            raise Killed
        total = sum(float(p.detach().double().sum()) for p in model.network.parameters())
        return {"total": total}

    evaluation = Evaluation(
        model.network, measure, path=folder / "evaluations.jsonl", every_steps=every
    )
    settings = replace(SETTINGS, save_every_steps=2)
    fitted = None
    with contextlib.suppress(Killed):
        fitted = train(model, folder, settings, hooks=[evaluation])
    return fitted, weights(model), evaluation, asked, modes


def check_undisturbed(source: Path, place: Path) -> None:
    model = fresh(source)
    (place / "plain").mkdir()
    plain = train(model, place / "plain", replace(SETTINGS, save_every_steps=2))
    fitted, found, _, asked, modes = run(source, place / "evaluated")
    assert asked == [0, 4, 6]
    assert modes == [{False}] * 3
    assert fitted.losses == plain.losses
    assert all(torch.equal(found[name], value) for name, value in weights(model).items())


def test_training_is_not_disturbed(tiny_folder: Any, tmp_path: Path) -> None:
    check_undisturbed(tiny_folder(), tmp_path)


def test_planted_random_state_not_put_back(
    tiny_folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation_module.torch, "set_rng_state", lambda state: None)
    with pytest.raises(AssertionError):
        check_undisturbed(tiny_folder(), tmp_path)


def test_modes_and_random_states_come_back_after_an_error() -> None:
    network = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Linear(2, 2)).train()
    network[1].eval()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    wanted = random.random(), np.random.rand(), torch.rand(1)
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    with pytest.raises(Killed), undisturbed(network):
        random.random(), np.random.rand(), torch.rand(1)
        assert not any(module.training for module in network.modules())
        raise Killed
    assert (random.random(), np.random.rand(), torch.rand(1)) == wanted
    assert [module.training for module in network.modules()] == [True, True, False]


@pytest.mark.parametrize("die_at", [0, 4, 6])
def test_killed_inside_goes_on_inside(die_at: int, tiny_folder: Any, tmp_path: Path) -> None:
    """The step before it is not taken again, and what was measured is not measured again."""
    wanted, parameters, evaluation, _, _ = run(tiny_folder(), tmp_path / "straight")
    run(tiny_folder(), tmp_path / "killed", die_at=die_at)
    fitted, resumed, again, asked, _ = run(tiny_folder(), tmp_path / "killed")
    assert asked == [step for step in (0, 4, 6) if step >= die_at]
    assert again.rows() == evaluation.rows()
    assert fitted.losses == wanted.losses
    assert all(torch.equal(resumed[name], value) for name, value in parameters.items())


def test_only_before_and_after(tiny_folder: Any, tmp_path: Path) -> None:
    *_, evaluation, asked, _ = run(tiny_folder(), tmp_path / "run", every=0)
    assert asked == [0, 6] == [row["step"] for row in evaluation.rows()]
