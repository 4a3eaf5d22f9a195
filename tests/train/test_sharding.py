"""Layers in parts over two processes: the same model as one process trains."""

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures.training import (
    SETTINGS,
    all_finished,
    check_two_processes,
    finished,
    fresh,
    ranks,
    start,
    train,
)

from burnish.base.errors import SettingError
from burnish.train.settings import TrainSettings

SHARDED: dict[str, Any] = {"sharding": "fsdp2", "learning_rate": 1e-3}


@pytest.mark.slow
@pytest.mark.parametrize(
    "given",
    [{"method": "lora"}, {"method": "full"}, {"method": "full", "optimizer": "muon"}],
    ids=["lora", "full", "muon"],
)
def test_sharded_equals_one_process(given: Any, tiny_folder: Any, tmp_path: Path) -> None:
    """One process has a pass less in some steps; the gradient's norm counts each part once.

    Muon orthogonalises whole matrices, of which each process keeps its part.
    """
    check_two_processes(tiny_folder(), tmp_path, **given, **SHARDED)


@pytest.mark.slow
def test_sharded_with_layers_computed_twice(tiny_folder: Any, tmp_path: Path) -> None:
    options = {"method": "full", "gradient_checkpointing": True, "save_every_steps": 1}
    check_two_processes(tiny_folder(), tmp_path, **SHARDED, **options)


@pytest.mark.slow
@pytest.mark.parametrize(
    "bug",
    [
        "from torch.distributed.fsdp import FSDPModule as f; "
        "f.set_gradient_divide_factor = lambda self, factor: None",
        "t.Trainer._sum_over_processes = lambda self, total: None",
        "t.clip_gradients = lambda parameters, most: s.torch.zeros(())",
        "t.Trainer._share = (lambda exact: lambda self, step: "
        "[(one, 1.0) for one, _ in exact(self, step)])(t.Trainer._share)",
    ],
    ids=["mean of gradients", "embedding not summed", "not clipped", "idle pass counted"],
)
def test_planted_bugs(bug: str, tiny_folder: Any, tmp_path: Path) -> None:
    before = f"import burnish.train.trainer as t, burnish.train.sharding as s; {bug}"
    with pytest.raises(AssertionError):
        check_two_processes(tiny_folder(), tmp_path, before=before, method="full", **SHARDED)


@pytest.mark.slow
def test_a_process_holds_a_part_only(tiny_folder: Any, tmp_path: Path) -> None:
    """Weights, gradients and both of Adam's moments of the layers: half of them each."""
    before = """
import burnish.train.trainer as t
from burnish.train.sharding import is_part
def told(self, path, state, save=t.Trainer.save):
    save(self, path, state)
    held = [m for p in self.parameters for m in (p, p.grad, *self.optimizer.state[p].values())]
    parts = [m for m in held if is_part(m)]
    assert len(parts) == 3 * sum(is_part(p) for p in self.parameters) > 0  # no gradients now
    local = sum(m.to_local().numel() for m in parts)
    assert local <= 0.6 * sum(m.numel() for m in parts)
    assert not any(map(is_part, self.network.model.embed_tokens.parameters()))
t.Trainer.save = told
"""
    check_two_processes(tiny_folder(), tmp_path, before=before, method="full", **SHARDED)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lora", "full"])
def test_killed_in_parts_goes_on_alone(method: str, tiny_folder: Any, tmp_path: Path) -> None:
    """A checkpoint holds whole tensors: any number of processes may take it up, in parts or not."""
    given = {"method": method, "learning_rate": 1e-3, "lora": {"rank": 3}}
    folders = [tmp_path / name for name in ("straight", "alone", "parts")]
    for folder in folders:
        folder.mkdir()
    straight, alone, parts = folders
    wanted = finished(start(tiny_folder(), straight, **given), straight)
    sharded = given | {"sharding": "fsdp2"}
    for folder in (alone, parts):
        both = [start(tiny_folder(), folder, environment=one, seconds=0.2, **sharded)
                for one in ranks(2)]  # fmt: skip
        for line in both[0].stdout:
            if line.split() == ["train_step", "3"]:
                break
        for process in both:
            process.send_signal(signal.SIGKILL)
            process.communicate()
    again = [start(tiny_folder(), parts, environment=one, **sharded) for one in ranks(2)]
    results = all_finished(again, parts)
    results.append(finished(start(tiny_folder(), alone, **given), alone))
    for found in results:
        assert found["losses"] == pytest.approx(wanted["losses"], rel=1e-5)
        for name, value in wanted["weights"].items():
            torch.testing.assert_close(found["weights"][name], value, atol=1e-5, rtol=1e-4)


def test_one_process_cannot_share(tiny_folder: Any, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="sharding needs several processes, got 'fsdp2'"):
        train(fresh(tiny_folder()), tmp_path, TrainSettings(sharding="fsdp2"))


def test_models_behind_an_adapter(
    tiny_folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = fresh(tiny_folder("gpt2"))
    monkeypatch.setattr("burnish.train.sharding.world_size", lambda: 2)
    with pytest.raises(SettingError, match="cannot be sharded"):
        train(model, tmp_path, TrainSettings(sharding="fsdp2", lora=SETTINGS.lora))
