"""Grouped rows by hand, products one by one, gradients by differences."""

from typing import Any

import pytest
import torch
from torch import Tensor

from burnish.models import grouped
from burnish.models.grouped import collect, group, grouped_product, kernel_product, spread

CHOSEN = torch.tensor([[2, 0], [0, 3], [2, 3], [0, 2]])


def check_groups(group_of: Any) -> None:
    found = group_of(CHOSEN, 5)
    assert found.counts.tolist() == [3, 0, 3, 2, 0]
    assert found.rows.tolist() == [0, 1, 3, 0, 2, 3, 1, 2]
    assert found.slots.tolist() == [[3, 0], [1, 6], [4, 7], [2, 5]]
    assert found.num_dropped == 0
    found = group_of(CHOSEN, 5, capacity=2)
    assert found.counts.tolist() == [2, 0, 2, 2, 0]
    assert found.rows.tolist() == [0, 1, 0, 2, 1, 2]
    assert found.slots.tolist() == [[2, 0], [1, 4], [3, 5], [6, 6]]  # 6: dropped
    assert found.num_dropped == 2


def test_groups_by_hand() -> None:
    check_groups(group)


def test_planted_capacity_off_by_one() -> None:
    def wider(chosen: Tensor, num: int, capacity: int | None = None) -> Any:
        return group(chosen, num, capacity=None if capacity is None else capacity + 1)

    with pytest.raises(AssertionError):
        check_groups(wider)


def check_product(product_of: Any, dtype: torch.dtype) -> None:
    """A weight without rows among them; values and gradients."""
    source = torch.Generator().manual_seed(4)
    counts = torch.tensor([5, 0, 1, 11])
    weight = torch.randn(4, 24, 16, generator=source).to(dtype).requires_grad_()
    rows = torch.randn(17, 16, generator=source).to(dtype).requires_grad_()
    slope = torch.randn(17, 24, generator=source).to(dtype)
    found = product_of(rows, weight, counts)
    found.backward(slope)
    gradients = rows.grad, weight.grad
    rows.grad = weight.grad = None
    parts = zip(rows.split(counts.tolist()), weight, strict=True)
    wanted = torch.cat([one @ matrix.T for one, matrix in parts])
    wanted.backward(slope)
    close = {"atol": 1e-5, "rtol": 1e-5} if dtype == torch.float32 else {"atol": 0.1, "rtol": 0.02}
    for one, other in zip((found, *gradients), (wanted, rows.grad, weight.grad), strict=True):
        torch.testing.assert_close(one, other, **close)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("product_of", [grouped_product, kernel_product])
def test_product_equals_single_products(product_of: Any, dtype: torch.dtype) -> None:
    check_product(product_of, dtype)


def test_planted_gradient_of_the_wrong_group(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = grouped._each
    monkeypatch.setattr(grouped, "_each", lambda c, a, w, b: exact(c[::-1], a, w, b))
    with pytest.raises(AssertionError):
        check_product(grouped_product, torch.float32)


@pytest.mark.parametrize("capacity", [None, 2])
def test_gradients(capacity: int | None) -> None:
    groups = group(CHOSEN, 5, capacity=capacity)
    rows = torch.randn(4, 3, dtype=torch.double, requires_grad=True)
    weight = torch.randn(5, 2, 3, dtype=torch.double, requires_grad=True)

    def whole(rows: Tensor, weight: Tensor) -> Tensor:
        return collect(grouped_product(spread(rows, groups), weight, groups.counts), groups)

    assert torch.autograd.gradcheck(whole, (rows, weight))


def test_autocast_multiplies_in_its_type() -> None:
    rows, weight = torch.randn(3, 8), torch.randn(2, 8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert grouped_product(rows, weight, torch.tensor([1, 2])).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("dtypes", "sizes", "aligned"),
    [
        ("bb", (8, 16), True), ("bb", (8, 12), False), ("bb", (12, 8), False),
        ("bb", (7, 8), False), ("ff", (8, 16), False), ("bf", (8, 16), False),
        ("fb", (8, 16), False),
    ],
)  # fmt: skip
def test_torchs_kernel_takes_aligned_rows_in_bf16(
    dtypes: str, sizes: tuple[int, int], aligned: bool
) -> None:
    kinds = {"b": torch.bfloat16, "f": torch.float32}
    rows = torch.zeros(3, sizes[0], dtype=kinds[dtypes[0]])
    weight = torch.zeros(2, sizes[1], sizes[0], dtype=kinds[dtypes[1]])
    assert grouped._aligned(rows, weight) is aligned
