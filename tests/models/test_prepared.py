"""Weights that are kept for the next start."""

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from fixtures.tiny import packed_logits, texts

from burnish.base.files import cache_folder
from burnish.kernels import tiles
from burnish.kernels.build import build
from burnish.models import prepared as prepared_module
from burnish.models.load import load_model
from burnish.models.products import Tiled

pytestmark = pytest.mark.skipif(not tiles.usable(8), reason="this processor has no tiles")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    build()
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/kernels").symlink_to(cache_folder() / "kernels")
    monkeypatch.setenv("BURNISH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache/prepared"


def load(folder: Path) -> Any:
    return load_model(str(folder), precision="bf16", device="cpu", prepared=True)


def check_prepared(family: str, tiny_folder: Any, tiny_model: Any) -> None:
    """First and second start have the same bits, and the logits of the model as it is."""
    first, second = (load(tiny_folder(family)).network for _ in "12")
    assert isinstance(second.lm_head.fast, Tiled)
    whole = tiny_model(family, "bf16").network
    sequences = texts([13, 5, 1])
    parts = zip(*(packed_logits(n, sequences) for n in (first, second, whole)), strict=True)
    for one, two, wanted in parts:
        assert torch.equal(one, two)
        torch.testing.assert_close(two, wanted, atol=0.15, rtol=0.05)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(second.state_dict()[name], tensor), name


@pytest.mark.parametrize("family", ["llama", "llama-biased", "qwen2", "qwen3"])
def test_prepared_equals_fused(family: str, cache: Path, tiny_folder: Any, tiny_model: Any) -> None:
    check_prepared(family, tiny_folder, tiny_model)


def test_planted_parts_exchanged(
    cache: Path, tiny_folder: Any, tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = prepared_module._groups

    def exchanged(decoder: Any) -> Any:
        found = groups(decoder)
        found["0/gates"] = found["0/gates"][::-1]
        return found

    monkeypatch.setattr(prepared_module, "_groups", exchanged)
    with pytest.raises(AssertionError):
        check_prepared("llama", tiny_folder, tiny_model)


def test_changed_weights_are_prepared_anew_and_old_ones_go(
    cache: Path, tiny_folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepared_module, "KEPT", 2)
    for number, family in enumerate(["llama", "qwen2", "qwen3"]):
        folder = Path(shutil.copytree(tiny_folder(family), tmp_path / "model"))
        load(folder)
        assert len(list(cache.iterdir())) == min(number + 1, 2)
        shutil.rmtree(folder)


def test_training_has_the_whole_weights(cache: Path, tiny_folder: Any) -> None:
    load(tiny_folder("llama"))
    model = load(tiny_folder("llama"))
    model.network.unfuse()
    assert torch.isfinite(packed_logits(model.network, texts([5]))[0]).all()


def test_no_room_on_the_disk_only_costs_the_next_start(
    cache: Path, tiny_folder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepared_module, "build_once", fail)
    model = load(tiny_folder("llama"))
    assert model.network.model.layers[0].mlp.fused is not None


@pytest.mark.parametrize("share", [2.0, 1.99])
def test_weights_are_prepared_where_twice_their_size_is_free(
    share: float, cache: Path, tiny_folder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load_model(str(tiny_folder("llama")), precision="bf16", device="cpu").network
    untied = [t for name, t in whole.state_dict().items() if name != "lm_head.weight"]
    num_bytes = 2 * sum(t.numel() * t.element_size() for t in untied)  # whole, and in tiles
    usage = SimpleNamespace(free=int(share * num_bytes))
    monkeypatch.setattr(prepared_module.shutil, "disk_usage", lambda _: usage)
    load(tiny_folder("llama"))
    assert len(list(cache.iterdir()) if cache.exists() else []) == (share == 2)


def fail(*_: Any) -> None:
    raise OSError(28, "No space left on device")


def test_generate_imports_neither_transformers_nor_a_compiler(
    cache: Path, tiny_folder: Any
) -> None:
    code = (
        "import sys; from burnish.recipes.answers import load\n"
        "from burnish.contracts.generation import Sampling\n"
        f"writer = load({str(tiny_folder('llama'))!r}, precision='bf16')\n"
        "writer.complete('the abc', Sampling(max_new_tokens=3))\n"
        "writer.chat([{'role': 'user', 'content': 'in'}], Sampling(max_new_tokens=3))\n"
        "print(*{'transformers', 'torch._dynamo', 'gguf', 'scipy'} & sys.modules.keys())"
    )
    for _ in "12":
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert (done.returncode, done.stdout.split()) == (0, []), done.stderr
