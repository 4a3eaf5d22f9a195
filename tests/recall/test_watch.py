"""Memory while a model is trained."""

from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures.recalling import random_material

from burnish.base.meter import Meter
from burnish.models.load import load_model
from burnish.recall import watch as module
from burnish.recall.settings import RecallSettings
from burnish.recall.watch import MemoryWatch
from burnish.train.examples import Example
from burnish.train.fit import fit
from burnish.train.hooks import Tell
from burnish.train.settings import TrainSettings

SETTINGS = RecallSettings(lengths="8,16", trials=2, cue_tokens=3, scored_tokens=5, least_tokens=8)


def trained(folder: Path, tmp_path: Path, *, watched: bool) -> tuple[Any, list[Any], Any]:
    model = load_model(str(folder), precision="fp32", device="cpu")
    events: list[tuple[str, dict[str, Any]]] = []

    def event(kind: str, /, **fields: Any) -> None:
        events.append((kind, fields))

    watch = MemoryWatch(model, random_material(16, 2), SETTINGS, event=event, every_steps=2)
    examples = [Example(id=str(i), prompt=(5, 6 + i), answer=(7, 8, 9 + i)) for i in range(8)]
    settings = TrainSettings(method="full", epochs=2, examples_per_step=4)
    hooks = [Tell(event), *([watch] if watched else [])]
    fitted = fit(model, examples, settings, folder=tmp_path, hooks=hooks, meter=Meter())
    return fitted, events, (model, watch)


def check_undisturbed(folder: Path, tmp_path: Path) -> None:
    plain = trained(folder, tmp_path / "a", watched=False)
    watched = trained(folder, tmp_path / "b", watched=True)
    assert watched[0].losses == plain[0].losses
    weights = [dict(one[2][0].network.named_parameters()) for one in (plain, watched)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert watched[2][0].network.training == plain[2][0].network.training


def test_training_is_not_disturbed(tiny_folder: Any, tmp_path: Path) -> None:
    check_undisturbed(tiny_folder("llama"), tmp_path)


def test_planted_watch_that_changes_weights(
    tiny_folder: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    exact = module.curve_in_place

    def careless(model: Any, *args: Any) -> Any:
        with torch.no_grad():
            next(model.network.parameters()).mul_(1.01)
        return exact(model, *args)

    monkeypatch.setattr(module, "curve_in_place", careless)
    with pytest.raises(AssertionError):
        check_undisturbed(tiny_folder("llama"), tmp_path)


def test_every_second_step_is_measured(tiny_folder: Any, tmp_path: Path) -> None:
    fitted, events, (_, watch) = trained(tiny_folder("llama"), tmp_path, watched=True)
    told = [fields for kind, fields in events if kind == "memory"]
    assert [fields["step"] for fields in told] == [1, 3] == [step for step, _ in watch.curves]
    assert fitted.num_steps == 4
    assert {"fine_tokens", "coarse_tokens", "state", "mean_copy", "mean_lm"} <= set(told[0])
    kinds = [kind for kind, _ in events]
    assert kinds.count("train_step") == 4
    assert all(0 <= fields[name] <= 1 for fields in told for name in ("mean_copy", "mean_lm"))
