"""Tensors of one file, mapped."""

from pathlib import Path

import torch

from burnish.models.mapped import ALIGNMENT, read_mapped, write_mapped


def test_tensors_come_back(tmp_path: Path) -> None:
    given = {
        "bf16": torch.randn(3, 5).bfloat16(),
        "fp32": torch.randn(7).t(),
        "bytes": torch.arange(0, 13, dtype=torch.uint8),
        "turned": torch.randn(3, 4).t(),
    }
    write_mapped(tmp_path, given)
    found = read_mapped(tmp_path)
    assert found.keys() == given.keys()
    for name, tensor in given.items():
        assert torch.equal(found[name], tensor), name
        assert found[name].data_ptr() % ALIGNMENT == 0
    found["fp32"].zero_()  # stays in this mapping
    assert torch.equal(read_mapped(tmp_path)["fp32"], given["fp32"])
