"""A model by its spec: lazy, known by its content, local or a server."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from burnish.base.errors import BurnishError, ModelError, SettingError
from burnish.models import handle as module
from burnish.models.adapters import Adapter
from burnish.models.cache import EMBEDDED
from burnish.models.decoder import Decoder
from burnish.models.handle import ModelHandle, folder_key

SERVER = "openai:http://127.0.0.1:1/v1/#some/model"


def refuse(*_: Any, **__: Any) -> None:
    raise AssertionError("loaded")


def test_the_key_loads_nothing(tiny_folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("burnish.models.load.load_model", refuse)
    handle = ModelHandle(str(tiny_folder("llama")))
    assert handle.key == folder_key(tiny_folder("llama"))
    assert handle.short_key == handle.key[:16] and not handle.is_server
    assert handle.tokenizer("the cat")["input_ids"]
    monkeypatch.setattr("burnish.models.load.resolve_folder", refuse)
    assert ModelHandle("smollm2-135m").key == EMBEDDED["smollm2-135m"].sha256
    with pytest.raises(AssertionError, match="loaded"):
        _ = handle.model


@pytest.mark.parametrize(("family", "network"), [("llama", Decoder), ("gpt2", Adapter)])
def test_the_model_is_loaded_once(family: str, network: type, tiny_folder: Any) -> None:
    handle = ModelHandle(str(tiny_folder(family)), precision="fp32", device="cpu")
    first = handle.model
    assert handle.model is first and isinstance(first.network, network)
    assert handle.tokenizer is first.tokenizer
    handle.release()
    assert handle.model is not first


def test_a_server_has_no_weights() -> None:
    handle = ModelHandle(SERVER)
    assert handle.is_server
    assert handle.key == handle.short_key == "openai:http://127.0.0.1:1/v1#some/model"
    assert (handle.remote.url, handle.remote.name) == ("http://127.0.0.1:1/v1", "some/model")
    for name in ("model", "folder", "tokenizer"):
        with pytest.raises(ModelError, match="it holds its weights"):
            getattr(handle, name)
    with pytest.raises(SettingError, match="openai:URL#name"):
        _ = ModelHandle("openai:http://x/v1").key


def test_a_local_model_is_no_server() -> None:
    with pytest.raises(ModelError, match="is not a server"):
        _ = ModelHandle("smollm2-135m").remote
    with pytest.raises(BurnishError, match="neither an embedded model"):
        _ = ModelHandle("no-such-model").key


def check_content(key_of: Callable[[Path], str], source: Path, copied: Path) -> None:
    """A copy is the same model, whatever its times; another byte, name or template is not."""
    shutil.copytree(source, copied)
    before = key_of(source)
    (copied / "notes.md").write_text("not a part of the model")
    for path in copied.iterdir():
        os.utime(path, (1, 1))
    assert key_of(copied) == before
    weights = copied / "model.safetensors"
    exact, told = weights.read_bytes(), weights.stat().st_mtime_ns
    weights.write_bytes(exact[:-1] + bytes([exact[-1] ^ 1]))
    os.utime(weights, ns=(told, told))
    assert key_of(copied) != before
    weights.write_bytes(exact)
    assert key_of(copied) == before
    for name in ("tokenizer.json", "config.json"):
        text = (copied / name).read_text()
        (copied / name).write_text(text + " ")
        assert key_of(copied) != before
        (copied / name).write_text(text)
    (copied / "chat_template.jinja").write_text("{{ messages }}!")
    assert key_of(copied) != before


def test_key_is_that_of_the_content(tiny_folder: Any, tmp_path: Path) -> None:
    check_content(folder_key, tiny_folder("llama"), tmp_path / "copy")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="must contain a model"):
        folder_key(tmp_path / "empty")


def test_planted_key_of_sizes_and_times(
    tiny_folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        module, "remembered_hash", lambda path: str((path.stat().st_size, path.stat().st_mtime_ns))
    )
    with pytest.raises(AssertionError):
        check_content(folder_key, tiny_folder("llama"), tmp_path / "copy")


def test_planted_weights_outside_of_the_key(
    tiny_folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT", module.KEPT - {".safetensors"})
    with pytest.raises(AssertionError):
        check_content(folder_key, tiny_folder("llama"), tmp_path / "copy")


@pytest.mark.parametrize("named", [{}, {"prepared": True}])
def test_weights_are_prepared_only_where_asked(
    named: dict[str, bool], tiny_folder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bool] = []
    monkeypatch.setattr(
        "burnish.models.load.load_model", lambda *_, prepared, **__: told.append(prepared)
    )
    _ = ModelHandle(str(tiny_folder("llama")), **named).model
    assert told == [bool(named)]
