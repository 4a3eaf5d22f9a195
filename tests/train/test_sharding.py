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


@pytest.fixture
def solver_folder(tiny_folder: Any, tmp_path: Path) -> Any:
    """A tiny model whose layers are steps of a solver, as a folder."""
    from burnish.arch.blocks import blocks
    from burnish.arch.blocks.pcformer import PCformerBlock
    from burnish.arch.upcycle_solver import upcycle_solver
    from burnish.models.load import load_model
    from burnish.models.save import save_model

    def make(spec: str) -> Path:
        block = blocks.parse(f"pcformer:{spec}")
        assert isinstance(block, PCformerBlock)
        plain = load_model(str(tiny_folder()), precision="fp32", device="cpu")
        return save_model(upcycle_solver(plain, block).model, tmp_path / "solver")

    return make


SOLVERS = ["order=2,beta=0.5", "order=2,beta=0.5,corrector=mix,function=rknorm"]
ONE_UNIT = """
import burnish.models.decoder as d, burnish.train.trainer as t
from torch.distributed.fsdp import FSDPModule
calls = {"layer": 0, "attention": 0}
def counted(name, exact):
    def call(self, *given, **named):
        calls[name] += 1
        return exact(self, *given, **named)
    return call
d.Attention.forward = counted("attention", d.Attention.forward)
def told(self, path, state, save=t.Trainer.save):
    stack = self.network.model
    units = [m for m in stack.modules() if isinstance(m, FSDPModule)]
    assert units == [stack, *stack.layers]
    for layer in stack.layers:
        assert all(t.is_part(p) for p in layer.solver.parameters())
    assert not any(map(t.is_part, stack.solver.parameters()))
    assert calls["attention"] == 3 * calls["layer"] > 0
    save(self, path, state)
t.Trainer.save = told
from torch.distributed.fsdp._fully_shard._fsdp_state import FSDPState
exact = FSDPState._pre_forward
def gathered(self, module, args, kwargs):
    calls["layer"] += isinstance(module, d.Layer)
    return exact(self, module, args, kwargs)
FSDPState._pre_forward = gathered
"""


@pytest.mark.slow
@pytest.mark.parametrize("spec", SOLVERS)
@pytest.mark.parametrize("given", [{}, SHARDED], ids=["whole", "parts"])
def test_a_solver_over_two_processes(
    spec: str, given: Any, solver_folder: Any, tmp_path: Path
) -> None:
    """In parts, a layer's weights are gathered once for all of its evaluations."""
    before = ONE_UNIT if given else ""
    check_two_processes(solver_folder(spec), tmp_path, before=before, method="full", **given)


@pytest.mark.slow
def test_planted_shared_solver_not_summed(solver_folder: Any, tmp_path: Path) -> None:
    """What all layers share stays whole, so its gradient is summed by the loop."""
    bug = """
import burnish.train.trainer as t
exact = t.Trainer._sum_over_processes
def forgets(self, total):
    kept = [p for p in self.parameters if p.numel() > 1 or t.is_part(p)]
    every, self.parameters = self.parameters, kept
    exact(self, total)
    self.parameters = every
t.Trainer._sum_over_processes = forgets
"""
    with pytest.raises(AssertionError):
        check_two_processes(
            solver_folder(SOLVERS[0]), tmp_path, before=bug, method="full", **SHARDED
        )


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
