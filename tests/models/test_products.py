"""Layouts of weights for inference against the plain product."""

import pytest
import torch
from torch import Tensor

from burnish.kernels import tiles
from burnish.models import products
from burnish.models.products import Packed, Plain, Tiled, can_pack, make_product

SHAPES = [(7, 5), (64, 64), (96, 31), (576, 1536)]


def weights(shape: tuple[int, int], dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    source = torch.Generator().manual_seed(shape[0])
    sizes = [shape, shape[:1], (33, shape[1])]
    return tuple(torch.randn(*size, generator=source).to(dtype) for size in sizes)


def check_packed(kind: type) -> None:
    for shape in SHAPES:
        for dtype in (torch.float32, torch.bfloat16):
            if not can_pack(torch.zeros(1, dtype=dtype)):
                continue
            weight, bias, rows = weights(shape, dtype)
            for one in (bias, None):
                found = kind(weight, one)(rows).double()
                exact = rows.double() @ weight.double().T
                exact += 0 if one is None else one.double()
                size = exact.abs().max()
                tolerance = 2e-6 if dtype == torch.float32 else 1 / 200
                assert (found - exact).abs().max() < tolerance * size, (shape, dtype)


@pytest.mark.parametrize("kind", [Packed, Plain])
@torch.inference_mode()
def test_packed_equals_plain(kind: type) -> None:
    if not can_pack(torch.zeros(1)):
        pytest.skip("torch was built without oneDNN")
    check_packed(kind)


@torch.inference_mode()
def test_planted_packed_without_bias() -> None:
    class Biasless(Plain):
        def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
            super().__init__(weight, None)

    with pytest.raises(AssertionError):
        check_packed(Biasless)


def check_bf16_rows(kind: type) -> None:
    """Any number of rows gives a row the bits that it has among all."""
    weight, bias, rows = weights((576, 1536), torch.bfloat16)
    product = kind(weight, bias)
    whole = product(rows)
    for size in (1, 2, 3, 4, 7, 16, 17):
        parts = torch.cat([product(part) for part in rows.split(size)])
        assert torch.equal(parts, whole), size


@torch.inference_mode()
@pytest.mark.parametrize("kind", [Packed, Plain])
def test_bf16_rows_are_invariant(kind: type, num_threads: int) -> None:
    if not can_pack(torch.zeros(1, dtype=torch.bfloat16)):
        pytest.skip("oneDNN has no bf16 products on this processor")
    check_bf16_rows(kind)


@torch.inference_mode()
@pytest.mark.parametrize("num_rows", [0, 1, 15, 16, 33])
def test_blocks_for_amx_give_the_product(num_rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the processor has AMX, which few machines for tests have."""
    monkeypatch.setattr(products, "has_amx", lambda: True)
    weight, bias, rows = weights((96, 31), torch.bfloat16)
    found = products.product(rows[:num_rows], weight, bias)
    exact = rows[:num_rows].double() @ weight.double().T + bias.double()
    torch.testing.assert_close(found.double(), exact, atol=0.05, rtol=0.01)


@torch.inference_mode()
def test_packed_has_the_bits_of_plain_in_bf16() -> None:
    if not can_pack(torch.zeros(1, dtype=torch.bfloat16)):
        pytest.skip("oneDNN has no bf16 products on this processor")
    weight, bias, rows = weights((576, 1536), torch.bfloat16)
    assert torch.equal(Packed(weight, bias)(rows), Plain(weight, bias)(rows))


def test_bf16_is_tiled_where_the_processor_multiplies_pairs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weight = torch.zeros(3, 2, dtype=torch.bfloat16)
    monkeypatch.setattr(tiles, "usable", lambda bits: bits == 16)
    assert isinstance(make_product(weight, None), Tiled)
    assert not isinstance(make_product(weight.float(), None), Tiled)
    monkeypatch.setattr(tiles, "usable", lambda bits: bits != 16)
    assert not isinstance(make_product(weight, None), Tiled)


def test_what_cannot_be_packed_stays_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = torch.zeros(3, 2)
    assert isinstance(make_product(weight.double(), None), Plain)
    monkeypatch.setattr(products, "can_pack", lambda weight: False)
    assert isinstance(make_product(weight, None), Plain)
