"""Compiled blocks compute what they compute without: losses and weights, and nothing is left.

torch.compile cannot trace the run-time checks of shapes that the tests put around our functions,
so it is run in processes of its own.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures.training import FULL, fresh, start, train
from fixtures.training import finished as finished_process
from torch import nn

from burnish.train.compiling import compile_blocks


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lora", "full"])
def test_compiled_equals_eager(method: str, tiny_folder: Any, tmp_path: Path) -> None:
    """Traced and differentiated ahead of time. The code generator takes minutes to compile."""
    before = "from burnish.train import compiling; compiling.BACKEND = 'aot_eager'"
    found = []
    for compiled in (False, True):
        own = tmp_path / str(compiled)
        own.mkdir()
        given = {"method": method, "learning_rate": 1e-3, "lora": {"rank": 3}}
        process = start(tiny_folder(), own, **given, before=before, compile=compiled)
        found.append(finished_process(process, own))
    plain, compiled = found
    assert compiled["losses"] == pytest.approx(plain["losses"], rel=1e-5)
    assert plain["weights"].keys() == compiled["weights"].keys()
    for name, value in plain["weights"].items():
        torch.testing.assert_close(compiled["weights"][name], value, atol=1e-5, rtol=1e-4)


def test_layers_are_compiled_and_left_ordinary(
    tiny_folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each layer once, none where it was not asked for, and nothing stays behind."""
    compiled, calls = [], []

    def compile(self: nn.Module, **options: Any) -> None:
        compiled.append((self, options))
        self._compiled_call_impl = lambda *given: calls.append(1) or self._call_impl(*given)

    monkeypatch.setattr(nn.Module, "compile", compile)
    losses = []
    for asked in (False, True):
        model = fresh(tiny_folder())
        own = tmp_path / str(asked)
        own.mkdir()
        losses.append(train(model, own, replace(FULL, compile=asked)).losses)
        assert all(m._compiled_call_impl is None for m in model.network.modules())
    assert [module for module, _ in compiled] == list(model.network.model.layers)
    assert all(options["dynamic"] for _, options in compiled)
    assert calls
    assert losses[0] == losses[1]


def test_a_network_without_blocks_is_compiled_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    monkeypatch.setattr(nn.Module, "compile", lambda self, **options: compiled.append(self))
    network = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    assert compile_blocks(network) == compiled == [network]
