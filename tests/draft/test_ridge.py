"""Ridge regression against NumPy's least squares."""

from typing import Any

import numpy as np
import pytest
import torch

from burnish.draft import fit as ridge_module
from burnish.draft.fit import ridge


def check_ridge(penalty: float) -> None:
    """The penalty is rows sqrt(p) * I below centred features."""
    source = torch.Generator().manual_seed(0)
    x = torch.randn(211, 7, generator=source) * torch.arange(1, 8) + 3
    y = x @ torch.randn(7, 5, generator=source) + torch.randn(211, 5, generator=source) - 2
    weight, bias = ridge(x, y, penalty=penalty)
    a, b = x.double().numpy(), y.double().numpy()
    centred, level = a - a.mean(0), b - b.mean(0)
    scale = penalty * (centred**2).sum(0).mean()
    rows = np.vstack([centred, np.sqrt(scale) * np.eye(7)])
    wanted = np.linalg.lstsq(rows, np.vstack([level, np.zeros((7, 5))]), rcond=None)[0]
    np.testing.assert_allclose(weight.numpy(), wanted.T, atol=1e-5)
    np.testing.assert_allclose(bias.numpy(), b.mean(0) - a.mean(0) @ wanted, atol=1e-4)


@pytest.mark.parametrize("penalty", [0.0, 1e-3, 0.5])
@pytest.mark.parametrize("chunk_rows", [50, 1000])
def test_ridge_equals_lstsq(
    penalty: float, chunk_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ridge_module, "CHUNK_ROWS", chunk_rows)
    check_ridge(penalty)


def test_planted_chunk_that_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    def shortened(*args: Any, **kwargs: Any) -> range:
        return range(0, 150, 50)

    monkeypatch.setattr(ridge_module, "range", shortened, raising=False)
    monkeypatch.setattr(ridge_module, "CHUNK_ROWS", 50)
    with pytest.raises(AssertionError):
        check_ridge(1e-3)
