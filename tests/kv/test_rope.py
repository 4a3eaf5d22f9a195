"""Rotary positions against complex numbers, and against what they are for."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from fixtures.brute import rope_config, rotated
from torch import Tensor

from burnish.kv import rope as rope_module
from burnish.kv.rope import Rope, repeat_kv, rotate

SIZE = 10
Rotate = Callable[[Tensor, Any], Tensor]


def rows(num: int, *, seed: int) -> Tensor:
    return torch.randn(num, 3, SIZE, generator=torch.Generator().manual_seed(seed))


def turned(row: Tensor, position: int, rotate_rows: Rotate) -> Tensor:
    rotation = Rope(rope_config(SIZE)).at(torch.tensor([position]), torch.float32)
    return rotate_rows(row, rotation)


def check_relative(rotate_rows: Rotate) -> None:
    """The product of a query and a key depends on their distance; their lengths never change."""
    query, key = rows(1, seed=1), rows(1, seed=2)
    products = [
        (turned(query, a, rotate_rows) * turned(key, b, rotate_rows)).sum(-1)
        for a, b in [(5, 3), (7, 5), (52, 50)]
    ]
    for product in products[1:]:
        torch.testing.assert_close(product, products[0], atol=1e-4, rtol=1e-4)
    other = (turned(query, 5, rotate_rows) * turned(key, 4, rotate_rows)).sum(-1)
    assert not torch.allclose(other, products[0], atol=1e-2)
    norm = turned(query, 31, rotate_rows).norm(dim=-1)
    torch.testing.assert_close(norm, query.norm(dim=-1), atol=1e-5, rtol=1e-5)


def test_rotation_is_relative() -> None:
    check_relative(rotate)


def test_planted_sign_of_sine() -> None:
    def spoilt(rows: Tensor, rotation: Any) -> Tensor:
        cos, sin = rotation
        half = rows.shape[-1] // 2
        return rows * cos + torch.cat((rows[..., half:], rows[..., :half]), dim=-1) * sin

    with pytest.raises(AssertionError):
        check_relative(spoilt)


def test_rotation_is_complex_multiplication() -> None:
    data, positions = rows(4, seed=5), [0, 1, 17, 300]
    rotation = Rope(rope_config(SIZE)).at(torch.tensor(positions), torch.float32)
    found = rotate(data, rotation).numpy()
    np.testing.assert_allclose(found, rotated(data.numpy(), np.array(positions)), atol=2e-4)


def test_each_query_head_gets_the_key_head_of_its_group() -> None:
    heads = torch.arange(2.0)[None, :, None, None].expand(1, 2, 4, 5)
    assert repeat_kv(heads, 3)[0, :, 0, 0].tolist() == [0, 0, 0, 1, 1, 1]
    assert repeat_kv(heads, 1) is heads


def test_module_computes_nothing_when_imported() -> None:
    assert not [name for name, value in vars(rope_module).items() if isinstance(value, Tensor)]
