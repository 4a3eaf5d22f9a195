"""The audit passes exact caches, fails others, and measures the released scheme."""

import json
from pathlib import Path
from typing import Any

import pytest
from fixtures.tiny import texts
from typer.testing import CliRunner

from burnish.arch.blocks import blocks
from burnish.arch.blocks.pcformer import PCformerBlock
from burnish.arch.cache_audit import audit
from burnish.arch.upcycle_solver import upcycle_solver
from burnish.base.errors import SettingError
from burnish.cli.arch import commands
from burnish.models import decoder as decoder_module
from burnish.models.load import Model, load_model
from burnish.models.save import save_model


@pytest.fixture
def made(tiny_folder: Any) -> Any:
    def make(spec: str) -> Model:
        model = load_model(str(tiny_folder("llama")), precision="fp32", device="cpu")
        block = blocks.parse(f"pcformer:{spec}")
        assert isinstance(block, PCformerBlock)
        return upcycle_solver(model, block).model

    return make


def check(model: Model) -> dict[str, Any]:
    found = audit(model, texts((9,))[0], num_tokens=24)
    assert found.equal and found.numbers["num_tokens_equal"] == 24
    assert found.numbers["logit_difference"] < 1e-5
    return found.numbers


def test_exact_caches_pass(made: Any) -> None:
    for order in (1, 2, 4):
        told = check(made(f"order={order},beta=0.5"))
        assert told["evaluations_per_layer"] == [order + 1] * 3
        assert told["kv_bytes_per_token"] == (order + 1) * 3 * 2 * 2 * 6 * 4
        assert told["released_cache"]["logit_difference"] > 1e-3
    shared = check(made("order=2,beta=0.5,shared_kv=true"))
    assert shared["kv_bytes_per_token"] == 3 * 2 * 2 * 6 * 4
    assert shared["released_cache"]["logit_difference"] < 1e-5  # nothing is left to overwrite


def test_planted_cache_of_the_corrector_alone(made: Any, monkeypatch: Any) -> None:
    model = made("order=2,beta=0.5")
    exact = decoder_module.Attention.forward
    monkeypatch.setattr(
        decoder_module.Attention,
        "forward",
        lambda self, rows, attend, evaluation=0, kept=None: exact(self, rows, attend, 0, kept),
    )
    with pytest.raises(AssertionError):
        check(model)


def test_the_command(made: Any, tmp_path: Path) -> None:
    folder = save_model(made("order=2,beta=0.5"), tmp_path / "model")
    done = CliRunner().invoke(commands.app, ["audit", str(folder), "--tokens", "5", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["cached_equals_uncached"] is True
    with pytest.raises(SettingError, match="leave room"):
        audit(made("order=2"), [5], num_tokens=5000)
