"""The chunked head against log-softmax of whole logits."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from burnish.base.errors import IncompleteError
from burnish.models import head as head_module
from burnish.models.head import largest_of, logprobs_at, token_logprobs

Head = Callable[..., torch.Tensor]


def eager(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    logprobs = torch.nn.functional.linear(hidden, weight).log_softmax(-1)
    return logprobs[torch.arange(len(targets)), targets]


def inputs(dtype: Any = torch.float32, *, rows: int = 17) -> list[torch.Tensor]:
    source = torch.Generator().manual_seed(1)
    hidden = torch.randn(rows, 13, generator=source, dtype=dtype)
    weight = torch.randn(101, 13, generator=source, dtype=dtype)
    upstream = torch.randn(rows, generator=source, dtype=dtype)
    upstream[3] = 0.0  # a token that counts nothing
    return [hidden, weight, torch.randint(0, 101, (rows,), generator=source), upstream]


def check_head(head: Head, *, block_rows: int, atol: float = 1e-5) -> None:
    """Values, and gradients for rows and weight, of any number of rows a block."""
    hidden, weight, targets, upstream = inputs()
    found, wanted = [], []
    for place, function in ((found, head), (wanted, eager)):
        rows, matrix = hidden.clone().requires_grad_(True), weight.clone().requires_grad_(True)
        options = {"block_rows": block_rows} if function is head else {}
        out = function(rows, matrix, targets, **options)
        place += [out, *torch.autograd.grad(out, (rows, matrix), upstream)]
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=atol, rtol=1e-5)


@pytest.mark.parametrize("block_rows", [1, 7, 17, 1000])
def test_chunked_equals_eager(block_rows: int) -> None:
    check_head(token_logprobs, block_rows=block_rows)


def test_gradcheck() -> None:
    hidden, weight, targets, _ = inputs(torch.float64, rows=5)
    hidden, weight = hidden.requires_grad_(True), weight[:11].clone().requires_grad_(True)
    targets = targets % 11
    torch.autograd.gradcheck(
        lambda h, w: token_logprobs(h, w, targets, block_rows=2), (hidden, weight)
    )


def test_frozen_sides_get_no_gradient() -> None:
    hidden, weight, targets, upstream = inputs()
    rows = hidden.requires_grad_(True)
    token_logprobs(rows, weight, targets).backward(upstream)
    assert rows.grad is not None
    assert weight.grad is None


def test_tied_weight_gets_both_gradients() -> None:
    """The head's matrix is the embedding too: its gradient is the sum of both uses."""
    hidden, weight, targets, upstream = inputs()
    tokens = targets.flip(0)
    found = []
    for head in (lambda *given: token_logprobs(*given, block_rows=4), eager):
        matrix = weight.clone().requires_grad_(True)
        rows = torch.tanh(torch.nn.functional.embedding(tokens, matrix)) + hidden
        head(rows, matrix, targets).backward(upstream)
        found.append(matrix.grad)
    torch.testing.assert_close(*found, atol=1e-5, rtol=1e-5)


def test_never_more_than_a_block_of_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accounting: no product that is as wide as the vocabulary has more rows than a block."""
    hidden, weight, targets, upstream = inputs()
    sizes = []
    exact = torch.nn.functional.linear

    def watched(rows: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
        sizes.append(len(rows))
        return exact(rows, matrix)

    monkeypatch.setattr(head_module.F, "linear", watched)
    rows = hidden.requires_grad_(True)
    token_logprobs(rows, weight, targets, block_rows=5).backward(upstream)
    assert sizes == [5, 5, 5, 2] * 2  # forward, and again in backward


def test_autocast_computes_in_its_type() -> None:
    hidden, weight, targets, upstream = inputs()
    rows, matrix = hidden.requires_grad_(True), weight.requires_grad_(True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = token_logprobs(rows, matrix, targets, block_rows=5)
    assert out.dtype == torch.float32
    out.backward(upstream)
    assert rows.grad.dtype == matrix.grad.dtype == torch.float32
    torch.testing.assert_close(out, eager(hidden, weight, targets), atol=0.15, rtol=0.05)


@pytest.mark.parametrize("bug", ["sign", "block", "target"])
def test_planted_bugs_in_the_head(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(hidden: Any, weight: Any, targets: Any, *, block_rows: int) -> torch.Tensor:
        if bug == "target":
            return token_logprobs(hidden, weight, targets.roll(1), block_rows=block_rows)
        if bug == "sign":
            return -token_logprobs(hidden, -weight, targets, block_rows=block_rows)
        kept = token_logprobs(hidden, weight, targets, block_rows=block_rows)
        last = kept[block_rows:].detach()  # only the first block is learned from
        return torch.cat([kept[:block_rows], last])

    with pytest.raises(AssertionError):
        check_head(broken, block_rows=7)


def check_several(logprobs: Any) -> None:
    """Rows without a question, with one, and with several; blocks that no row fills."""
    hidden, weight, _, _ = inputs()
    rows = torch.tensor([0, 0, 2, 3, 3, 3, 9, 16])
    targets = torch.tensor([4, 90, 7, 0, 100, 5, 55, 12])
    wanted = torch.nn.functional.linear(hidden, weight).log_softmax(-1)[rows, targets]
    for block in (1, 5, 100):
        found = logprobs(lambda some: some @ weight.T, hidden, rows, targets, block_rows=block)
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def test_several_tokens_of_a_row() -> None:
    check_several(logprobs_at)


def test_planted_row_of_the_block_before() -> None:
    def before(head: Any, hidden: Any, rows: Any, *given: Any, **settings: Any) -> torch.Tensor:
        return logprobs_at(head, hidden, (rows - 1).clamp(min=0), *given, **settings)

    with pytest.raises(AssertionError):
        check_several(before)


def test_a_model_that_diverged_is_named() -> None:
    logits = torch.tensor([[1.0, 3.0, 3.0], [0.0, -math.inf, -1.0], [2.0, math.inf, 0.0]])
    assert largest_of(logits).tolist() == [1, 0, 1]
    hidden = torch.ones(3, 5)
    hidden[2] = math.nan
    rows = torch.tensor([0, 2])
    for wrong in (
        lambda: largest_of(torch.tensor([[1.0, math.nan]])),
        lambda: logprobs_at(torch.nn.Linear(5, 7), hidden, rows, torch.tensor([1, 1])),
    ):
        with pytest.raises(IncompleteError, match=r"must be numbers, got nan\. The weights"):
            wrong()
