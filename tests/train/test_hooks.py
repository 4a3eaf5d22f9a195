"""Hooks of the loop: gradient norms of a noise that was planted."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from burnish.base.errors import SettingError
from burnish.base.log import RecordLog
from burnish.train import hooks as module
from burnish.train import trainer as trainer_module
from burnish.train.hooks import GradientNorms
from burnish.train.loop import run_training
from burnish.train.optim import AdamW
from burnish.train.schedule import Constant
from burnish.train.steps import Batch, IndexedSteps, Microbatch
from burnish.train.trainer import Training

WIDTH, MEAN, DEVIATION = 13, 0.5, 2.0
SIGNAL, NOISE = WIDTH * MEAN**2, WIDTH * DEVIATION**2  # |G|^2 and tr(Sigma): a scale of 16
SIZES = (1, 2, 5)  # passes of a step, as unequal as possible


class Linear(nn.Module):
    """A loss that is linear in its weights: gradients are the items, at any weights."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(WIDTH))


def sum_of_products(network: nn.Module, items: Any, /, *, weight: float = 1.0) -> torch.Tensor:
    return weight * (torch.stack(list(items)) @ network.weight).sum()


def norms(
    folder: Path, *, sizes: tuple[int, ...] = SIZES, scale: float = 1.0
) -> list[dict[str, float]]:
    """Rows of 400 steps of the loop on gradients of known mean and covariance."""
    folder.mkdir()
    source = torch.Generator().manual_seed(5)

    def step(index: int) -> Batch:
        drawn = [torch.randn(size, WIDTH, generator=source) for size in sizes]
        parts = [scale * (MEAN + DEVIATION * some) for some in drawn]
        passes = [Microbatch(items=list(p), num_terms=len(p), num_rows=len(p)) for p in parts]
        return Batch(passes=passes)

    log = RecordLog(folder / "norms.jsonl")
    training = Training(
        network=Linear(), objective=sum_of_products, source=IndexedSteps(400, step),
        optimizer=AdamW(learning_rate=1e-6), schedule=Constant(), save_every_steps=1000,
    )  # fmt: skip
    run_training(training, checkpoint=folder / "state.pt", hooks=[GradientNorms(log)])
    return list(RecordLog(folder / "norms.jsonl").peek())


def check_planted(rows: list[dict[str, float]], scale: float = 1.0) -> None:
    """Both parts by the two-batch formulas, within four standard errors."""
    whole = [row for row in rows if row["batch"] == sum(SIZES)]
    single = [row for row in rows if row["batch"] != sum(SIZES)]
    assert len(whole) == len(single) == 400
    small, big = single[0]["batch"], whole[0]["batch"]
    pairs = [(s["sq_norm"] / scale**2, b["sq_norm"] / scale**2)
             for s, b in zip(single, whole, strict=True)]  # fmt: skip
    noise = sum(s - b for s, b in pairs) / 400 / (1 / small - 1 / big)
    signal = sum(big * b - small * s for s, b in pairs) / 400 / (big - small)
    assert noise == pytest.approx(NOISE, rel=0.07)
    assert signal == pytest.approx(SIGNAL, rel=0.25)
    assert {row["loss"] for row in rows[:2]} == {rows[0]["loss"]}


def test_planted_noise_is_found(tmp_path: Path) -> None:
    check_planted(norms(tmp_path / "run"))


def test_tiny_gradients_are_not_lost(tmp_path: Path) -> None:
    """Squares of single precision would be 0."""
    check_planted(norms(tmp_path / "run", scale=1e-25), 1e-25)


@pytest.mark.parametrize("bug", ["after clipping", "unweighted", "single precision"])
def test_planted_bugs(bug: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scale = 1.0
    if bug == "after clipping":
        exact = trainer_module.Trainer._measured
        clipped = lambda self, terms, square: exact(self, terms, min(square, 1.0))  # noqa: E731
        monkeypatch.setattr(trainer_module.Trainer, "_measured", clipped)
    elif bug == "unweighted":  # every pass counts the same, however many terms it has

        def plain(self: Any, found: Any) -> None:
            parts = [p.square_norm * (found.num_terms / p.num_terms) ** 2 for p in found.passes]
            self._rows = [
                {"batch": found.num_terms / len(parts), "sq_norm": sum(parts) / len(parts)},
                {"batch": found.num_terms, "sq_norm": found.square_norm},
            ]

        monkeypatch.setattr(module.GradientNorms, "gradients", plain)
    else:
        scale = 1e-25
        single = lambda some: torch.stack([g.square().sum() for g in some]).sum()  # noqa: E731
        monkeypatch.setattr(trainer_module, "_square_norm", single)
    rows = norms(tmp_path / "run", scale=scale)
    with pytest.raises(AssertionError):
        check_planted(rows, scale)


def test_one_pass_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="two passes per step"):
        norms(tmp_path / "run", sizes=(8,))
