"""Random pairs and log-probabilities that tests of preferences share."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from burnish.prefer.losses import Batch
from burnish.prefer.pairs import Pair

LENGTHS = ((3, 7), (11, 2), (5, 5), (1, 4), (13, 6))


def make_pairs(lengths: Any = LENGTHS, *, prompt_tokens: int = 4, seed: int = 5) -> list[Pair]:
    """Random pairs with answers of the given lengths."""
    source = torch.Generator().manual_seed(seed)

    def tokens(num: int) -> tuple[int, ...]:
        return tuple(torch.randint(3, 269, (num,), generator=source).tolist())

    return [
        Pair(row=i, prompt=tokens(prompt_tokens + i), chosen=tokens(w), rejected=tokens(n))
        for i, (w, n) in enumerate(lengths, start=1)
    ]


def make_batch(lengths: Any = LENGTHS, *, seed: int = 3, dtype: Any = torch.float64) -> Batch:
    """Log-probabilities as a model would give them, and keys."""
    source = torch.Generator().manual_seed(seed)
    num = sum(map(sum, lengths))
    policy, reference = (
        torch.randn(num, generator=source, dtype=torch.float64).exp().neg().to(dtype)
        for _ in range(2)
    )
    keys = tuple(f"pair {i}" for i in range(len(lengths)))
    return Batch(policy=policy, reference=reference, lengths=tuple(lengths), keys=keys)


@pytest.fixture
def pairs() -> list[Pair]:
    """Five pairs: either side longer, and equal."""
    return make_pairs()


@pytest.fixture
def batch() -> Batch:
    """The same lengths with log-probabilities in fp64."""
    return make_batch()


@pytest.fixture
def pairs_of() -> Callable[..., list[Pair]]:
    """Make pairs of other lengths."""
    return make_pairs


@pytest.fixture
def batch_of() -> Callable[..., Batch]:
    """Make a batch of other lengths."""
    return make_batch


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reference log-probabilities of a test stay in its folder."""
    monkeypatch.setenv("BURNISH_CACHE", str(tmp_path / "cache"))
