"""An index folder is what its manifest says, whatever happens while it is written."""

import json
from pathlib import Path
from typing import Any

import pytest

from burnish.base.errors import InputError, StorageError
from burnish.stream import folder as module
from burnish.stream import reading as ingest_module
from burnish.stream.asking import Index
from burnish.stream.folder import read_manifest
from burnish.stream.reading import ingest


class Killed(BaseException):
    """Stands for a process that ends here."""


def check_killed(settings_of: Any, tmp_path: Path, monkeypatch: Any) -> None:
    ingest(settings_of())
    before = Index(tmp_path / "index").ask("", max_new_tokens=3)["text"]
    (tmp_path / "more.md").write_text("and then the tide came back " * 20, encoding="utf-8")
    more = settings_of(files=(str(tmp_path / "more.md"),), append=True)

    def dying(*given: Any) -> None:
        raise Killed

    for name in ("write_json", "file_hash"):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, dying)
            if name == "file_hash":  # reading an index needs it too
                exact = module.save
                patch.setattr(ingest_module, "open_memory_of", ingest_module.open_memory_of)
                assert exact is module.save
            with pytest.raises(Killed):
                ingest(more)
        assert read_manifest(tmp_path / "index").complete
        assert Index(tmp_path / "index").ask("", max_new_tokens=3)["text"] == before
    assert ingest(more)["files"] == 2


def test_killed_anywhere_leaves_the_last_state(
    settings_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_killed(settings_of, tmp_path, monkeypatch)


def test_planted_state_under_the_old_name(
    settings_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One name for all states: the old manifest then names the new state."""

    def one_name(path: Path, mode: str = "w") -> Any:
        if path.name.startswith("state-"):
            old = list(path.parent.glob("state-*"))
            path = old[0] if old else path
        return exact(path, mode)

    exact = module.atomic_write
    monkeypatch.setattr(module, "atomic_write", one_name)
    with pytest.raises((AssertionError, Exception)):
        check_killed(settings_of, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    "change",
    [
        {"num_tokens": "x"},
        {"num_tokens": 0},
        {"total_tokens": 3},
        {"parts": [1, 2]},
        {"parts": None},
        {"policy": "window"},
        {"far_tokens": [1]},
        {"far_tokens": None},
        {"fingerprint": {}},
        {"fingerprint": {"model": "x", "weights": "x", "dtype": "float64", "rope": {}}},
        {"text": "../text.txt"},
        {"state": ""},
    ],
)
def test_changed_manifests_are_damaged(
    change: dict[str, Any], settings_of: Any, tmp_path: Path
) -> None:
    ingest(settings_of())
    path = tmp_path / "index" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    for use in (lambda: Index(tmp_path / "index"), lambda: ingest(settings_of())):
        with pytest.raises(InputError, match=r"is damaged"):
            use()


def test_one_process_writes_an_index(settings_of: Any, tmp_path: Path) -> None:
    with module.locked(tmp_path / "index"):
        with pytest.raises(StorageError, match="is being written by another process"):
            ingest(settings_of())
        assert list((tmp_path / "index").iterdir()) == []
    ingest(settings_of())
    with pytest.raises(InputError, match="index must be a folder"):
        read_manifest(tmp_path / "index" / "manifest.json")
