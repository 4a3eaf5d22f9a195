"""Stop anywhere, go on exactly: parameters, optimiser, position and random state in one file."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from burnish.base.files import atomic_write


def save_checkpoint(path: Path, network: nn.Module, optimizer: Any, state: dict[str, Any]) -> None:
    """Write the trainable part of a run to `path`, atomically. Raises StorageError.

    Source: ours. Oracle: tests/train/test_checkpoint.py::test_a_torn_write_replaces_nothing
    """
    content = {
        "parameters": {n: p.detach() for n, p in network.named_parameters() if p.requires_grad},
        "optimizer": optimizer.state_dict(),
        "torch_random": torch.get_rng_state(),
        "cuda_random": torch.cuda.get_rng_state_all(),  # empty without a GPU
        "state": state,
    }
    with atomic_write(path, "wb") as file:
        torch.save(content, file)


def load_checkpoint(path: Path, network: nn.Module, optimizer: Any) -> dict[str, Any]:
    """Put a saved run back; returns the state that was saved with it."""
    content = torch.load(path, weights_only=True, map_location="cpu")
    named = dict(network.named_parameters())
    for name, value in content["parameters"].items():
        named[name].data.copy_(value)
    optimizer.load_state_dict(content["optimizer"])
    torch.set_rng_state(content["torch_random"])
    torch.cuda.set_rng_state_all(content["cuda_random"])
    return content["state"]


def seed_everything(seed: int) -> None:
    """Start the global random streams that dropout and initialisation draw from."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
