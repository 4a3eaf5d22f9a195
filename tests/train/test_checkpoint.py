"""A checkpoint is the last whole one, and holds all that the next step depends on."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from burnish.base.errors import StorageError
from burnish.train import checkpoint as checkpoint_module
from burnish.train.checkpoint import load_checkpoint, save_checkpoint, seed_everything

Save = Callable[[Path, nn.Module, Any, dict[str, Any]], None]


def network_of(seed: int) -> tuple[nn.Module, Any]:
    """Three layers, the first frozen, with an optimiser that has taken a step."""
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5, bias=False), nn.Linear(5, 2))
    network[0].requires_grad_(False)
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=0.1)
    network(torch.randn(6, 3)).square().sum().backward()
    optimizer.step()
    return network, optimizer


def check_torn_write(save: Save, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills half-way through the second save leaves the first as it was."""
    network, optimizer = network_of(1)
    save(path, network, optimizer, {"losses": [1.0]})
    whole = path.read_bytes()
    exact = torch.save

    def torn(content: Any, target: Any) -> None:
        exact(content, target)
        if isinstance(target, Path):
            os.truncate(target, 100)
        else:
            target.truncate(100)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_module.torch, "save", torn)
        with pytest.raises(StorageError, match="Free some space"):
            save(path, *network_of(2), {"losses": [1.0, 2.0]})
    assert path.read_bytes() == whole
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert load_checkpoint(path, *network_of(3)) == {"losses": [1.0]}


def test_a_torn_write_replaces_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_torn_write(save_checkpoint, tmp_path / "state.pt", monkeypatch)


def test_planted_write_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def in_place(path: Path, network: nn.Module, optimizer: Any, state: dict[str, Any]) -> None:
        try:
            save_checkpoint(path.with_name("x"), network, optimizer, state)
        except StorageError:
            path.write_bytes(b"half")
            raise
        path.with_name("x").rename(path)

    with pytest.raises(AssertionError):
        check_torn_write(in_place, tmp_path / "state.pt", monkeypatch)


def test_torn_temporary_files_are_not_read(tmp_path: Path) -> None:
    """What a killed writer left beside the checkpoint changes nothing."""
    path = tmp_path / "state.pt"
    save_checkpoint(path, *network_of(1), {"losses": [1.0]})
    (tmp_path / ".state.pt.1-00.tmp").write_bytes(path.read_bytes()[:100])
    assert load_checkpoint(path, *network_of(2)) == {"losses": [1.0]}
    save_checkpoint(path, *network_of(1), {"losses": [1.0, 2.0]})
    assert load_checkpoint(path, *network_of(2)) == {"losses": [1.0, 2.0]}


def test_what_is_trained_comes_back(tmp_path: Path) -> None:
    """Parameters, the optimiser's averages and the random stream; frozen weights are not stored."""
    network, optimizer = network_of(1)
    save_checkpoint(tmp_path / "state.pt", network, optimizer, {})
    drawn = torch.rand(3)
    other, other_optimizer = network_of(2)
    frozen = other[0].weight.clone()
    load_checkpoint(tmp_path / "state.pt", other, other_optimizer)
    assert torch.equal(torch.rand(3), drawn)
    assert torch.equal(other[0].weight, frozen)
    for one, two in zip(network[1:].parameters(), other[1:].parameters(), strict=True):
        assert torch.equal(one, two)
        for name, value in optimizer.state[one].items():
            assert torch.equal(other_optimizer.state[two][name], value)


def test_seeds_start_every_stream() -> None:
    import random

    import numpy as np

    def draws(seed: int) -> list[float]:
        seed_everything(seed)
        return [random.random(), np.random.random(), float(torch.rand(()))]

    assert draws(1 << 62) == draws(1 << 62)
    assert not set(draws(1)) & set(draws(2))


class Failing:
    """A disk on which the second write ends otherwise."""

    def __init__(self, file, error):
        self._file, self._error, self._left = file, error, 1

    def write(self, data):
        if self._left == 0:
            raise self._error
        self._left -= 1
        return self._file.write(data)

    def __getattr__(self, name):
        return getattr(self._file, name)


@pytest.mark.parametrize(
    ("error", "told"),
    [(OSError(errno.ENOSPC, "No space left on device"), StorageError),
     (KeyboardInterrupt(), KeyboardInterrupt)],
)  # fmt: skip
def test_a_full_disk_and_an_interrupt_are_told_as_such(error, told, tmp_path, monkeypatch):
    import contextlib

    from burnish.train import checkpoint

    exact = checkpoint.atomic_write

    @contextlib.contextmanager
    def failing(path, mode):
        with exact(path, mode) as file:
            yield Failing(file, error)

    network = torch.nn.Linear(300, 300)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    path = tmp_path / "state.pt"
    checkpoint.save_checkpoint(path, network, optimizer, {"step": 1})
    before = path.read_bytes()
    monkeypatch.setattr(checkpoint, "atomic_write", failing)
    with pytest.raises(told):
        checkpoint.save_checkpoint(path, network, optimizer, {"step": 2})
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
