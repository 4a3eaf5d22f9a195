"""MODEL may be a mixture of experts or a PCformer: `improve` treats it as any other."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from burnish.base.progress import set_quiet
from burnish.models.load import load_model
from burnish.recipes.improve import improve
from burnish.recipes.settings import ImproveSettings


@pytest.mark.parametrize("block", ["moe:experts=3,top_k=2", "pcformer:order=2"])
def test_improve_trains_other_layers(
    block: str, settings: ImproveSettings, burnish: Any, tmp_path: Path
) -> None:
    made = burnish("arch", "upcycle", settings.model, "--out", tmp_path / "up", "--block", block)
    assert made.status == 0, made.err
    with set_quiet(True):
        found = improve(
            replace(settings, model=str(tmp_path / "up"), rounds=1), runs=tmp_path / "runs"
        )
    assert found["gain"]["n"] == settings.split.heldout
    dense, before, after = (
        dict(load_model(str(spec), precision="fp32").network.named_parameters())
        for spec in (settings.model, tmp_path / "up", found["model"])
    )
    assert list(before) == list(after) != list(dense)
    assert any(not before[name].equal(after[name]) for name in before)
