"""Stop anywhere, go on exactly: parameters, optimiser, position and random state in one file."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from burnish.base.files import atomic_write
from burnish.train.sharding import part, whole


def save_checkpoint(
    path: Path,
    network: nn.Module,
    optimizer: Any,
    state: dict[str, Any],
    *,
    write: bool = True,
) -> None:
    """Write the trainable part of a run to `path`, atomically. Raises StorageError.

    Tensors that lie in parts are gathered one by one, by all processes; who writes keeps them.
    Source: ours. Oracle: tests/train/test_checkpoint.py::test_a_torn_write_replaces_nothing
    """
    named = {n: p.detach() for n, p in network.named_parameters() if p.requires_grad}

    def kept(_: int, value: Any) -> Any:
        gathered = whole(value)
        return gathered if write else None

    content = {
        "parameters": {name: kept(0, value) for name, value in named.items()},
        "buffers": {name: value.clone() for name, value in _trained_buffers(network).items()},
        "optimizer": _each(optimizer.state_dict(), kept),
        "torch_random": torch.get_rng_state(),
        "cuda_random": torch.cuda.get_rng_state_all(),  # empty without a GPU
        "state": state,
    }
    if not write:
        return
    with atomic_write(path, "wb") as file:
        told: Any = _Told(file)
        try:
            torch.save(content, told)
        except BaseException as error:
            raise told.error or error from None


class _Told:
    """A file that remembers why a write ended: torch says only that one did."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.error: BaseException | None = None

    def write(self, data: Any) -> int:
        try:
            return self._file.write(data)
        except BaseException as error:  # a full disk, or Ctrl-C
            self.error = error
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def load_checkpoint(path: Path, network: nn.Module, optimizer: Any) -> dict[str, Any]:
    """Put a saved run back; returns the state that was saved with it."""
    content = torch.load(path, weights_only=True, map_location="cpu")
    named = dict(network.named_parameters())
    for name, value in content["parameters"].items():
        named[name].data.copy_(part(value, named[name]))
    buffers = _trained_buffers(network)
    for name, value in content.get("buffers", {}).items():  # older files have none
        buffers[name].copy_(value)
    places = [p for group in optimizer.param_groups for p in group["params"]]
    saved = _each(content["optimizer"], lambda index, value: part(value, places[index]))
    optimizer.load_state_dict(saved)
    torch.set_rng_state(content["torch_random"])
    torch.cuda.set_rng_state_all(content["cuda_random"])
    return content["state"]


def _trained_buffers(network: nn.Module) -> dict[str, Tensor]:
    """Buffers that training moves, which modules name in `trained_buffers`."""
    return {
        f"{path}.{name}": getattr(module, name)
        for path, module in network.named_modules()
        for name in getattr(module, "trained_buffers", ())
        if getattr(module, name) is not None
    }


def _each(saved: dict[str, Any], change: Callable[[int, Any], Any]) -> dict[str, Any]:
    """An optimiser's saved state, each value of a parameter changed, the rest as it is."""
    state = {
        index: {name: change(index, value) for name, value in values.items()}
        for index, values in saved["state"].items()
    }
    return {**saved, "state": state}


def seed_everything(seed: int) -> None:
    """Start the global random streams that dropout and initialisation draw from."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
