"""Tensors in one memory-mapped file: pages are read when they are accessed."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

ALIGNMENT = 64  # bytes: what a load of the widest registers likes
DATA, INDEX = "tensors.bin", "tensors.json"
CHUNK_BYTES = 1 << 26


def write_mapped(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write CPU tensors into `folder`, each where a register may begin to read.

    Source: ours. Oracle: tests/models/test_mapped.py::test_tensors_come_back
    """
    places: dict[str, Any] = {}
    with (folder / DATA).open("wb") as file:
        for name, tensor in tensors.items():
            file.write(b"\0" * (-file.tell() % ALIGNMENT))
            data = tensor.detach().contiguous().view(-1).view(torch.uint8)
            dtype = str(tensor.dtype).removeprefix("torch.")
            places[name] = {"dtype": dtype, "shape": list(tensor.shape), "begin": file.tell()}
            for part in data.split(CHUNK_BYTES):
                file.write(part.numpy().tobytes())
        file.flush()
        os.fsync(file.fileno())
    (folder / INDEX).write_text(json.dumps(places), encoding="utf-8")


def read_mapped(folder: Path) -> dict[str, Tensor]:
    """Map the tensors of `folder`. What is written to them stays in this process."""
    places = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    path = folder / DATA
    storage: Any = torch.UntypedStorage.from_file(
        str(path), shared=False, nbytes=path.stat().st_size
    )
    whole = torch.empty(0, dtype=torch.uint8).set_(storage)
    found = {}
    for name, place in places.items():
        dtype = getattr(torch, place["dtype"])
        size = torch.Size(place["shape"]).numel() * dtype.itemsize
        part = whole[place["begin"] : place["begin"] + size]
        found[name] = part.view(dtype).view(place["shape"])
    return found
