"""Ingest: resumed, appended, refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from burnish.base.errors import BurnishError, InputError, ModelError, SettingError
from burnish.stream import reading as module
from burnish.stream.asking import Index
from burnish.stream.folder import read_manifest, read_source
from burnish.stream.reading import IngestSettings, ingest


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_ROWS", 64)
    monkeypatch.setattr(module, "SAVE_TOKENS", 128)


def state_of(folder: Path) -> dict[str, Any]:
    manifest = read_manifest(folder)
    tensors = load_file(folder / manifest.state)
    files = {p.name: p.read_bytes() for p in sorted(folder.glob("layer-*.kv"))}
    return tensors | {"files": files, "tokens": manifest.tokens, "far": manifest.far_tokens}


def same(one: dict[str, Any], two: dict[str, Any]) -> bool:
    assert one.keys() == two.keys()
    return all(
        torch.equal(a, two[n]) or n == "surprise" if isinstance(a, torch.Tensor) else a == two[n]
        for n, a in one.items()
    )


def interrupted(settings: Any, monkeypatch: Any) -> Any:
    """Ingest until Ctrl-C in the fourth chunk; what it raised."""
    exact, count = module.read_rows, [0]

    def dying(*given: Any, **named: Any) -> Any:
        count[0] += 1
        if count[0] == 4:
            raise KeyboardInterrupt
        return exact(*given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(module, "read_rows", dying)
        with pytest.raises(KeyboardInterrupt) as error:
            ingest(settings)
    return error


def check_resumed(settings_of: Any, tmp_path: Path, monkeypatch: Any) -> None:
    told = ingest(settings_of(index=str(tmp_path / "straight")))
    error = interrupted(settings_of(), monkeypatch)
    assert error.value.__notes__ == ["repeat the command to resume"]
    folder = tmp_path / "index"
    assert not read_manifest(folder).complete
    with pytest.raises(InputError, match="is an incomplete index"):
        Index(folder)
    resumed = ingest(settings_of())
    assert 0 < resumed["new_tokens"] < resumed["tokens"] == told["tokens"]
    assert same(state_of(folder), state_of(tmp_path / "straight"))
    assert ingest(settings_of())["new_tokens"] == 0


def test_interrupted_and_resumed_equals_straight(
    settings_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_resumed(settings_of, tmp_path, monkeypatch)


def test_planted_resume_that_forgets_the_local_window(
    settings_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgetful(*given: Any, **named: Any) -> Any:
        memory, last = exact(*given, **named)
        from dataclasses import replace

        memory.layers = [replace(s, local=s.local * 0) for s in memory.layers]
        return memory, last

    exact = module.open_memory_of
    monkeypatch.setattr(module, "open_memory_of", forgetful)
    with pytest.raises(AssertionError):
        check_resumed(settings_of, tmp_path, monkeypatch)


def test_append(settings_of: Any, tmp_path: Path) -> None:
    first = ingest(settings_of())
    (tmp_path / "more.md").write_text("and then the tide came back", encoding="utf-8")
    more = ingest(settings_of(files=(str(tmp_path / "more.md"),), append=True))
    assert more["tokens"] > first["tokens"] and more["files"] == 2
    source = read_source(tmp_path / "index", read_manifest(tmp_path / "index"))
    assert source.document.text.endswith("\n\nand then the tide came back")
    assert len(list((tmp_path / "index").glob("state-*"))) == 1
    assert Index(tmp_path / "index").ask("", max_new_tokens=2)["tokens"] <= 2


def test_an_interrupted_append_resumes(
    settings_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "more.md").write_text("and then the tide came back " * 20, encoding="utf-8")
    (tmp_path / "other.md").write_text("something else", encoding="utf-8")
    for name in ("straight", "index"):
        ingest(settings_of(index=str(tmp_path / name)))
    more = {"files": (str(tmp_path / "more.md"),), "append": True}
    wanted = ingest(settings_of(index=str(tmp_path / "straight"), **more))
    interrupted(settings_of(**more), monkeypatch)
    assert 0 < read_manifest(tmp_path / "index").num_tokens < wanted["tokens"]
    for other in ({"files": (str(tmp_path / "other.md"),), "append": True}, {}):
        with pytest.raises(InputError, match=r"is incomplete|holds another index"):
            ingest(settings_of(**other))
    resumed = ingest(settings_of(**more))
    assert 0 < resumed["new_tokens"] < wanted["new_tokens"]
    assert same(state_of(tmp_path / "index"), state_of(tmp_path / "straight"))
    with pytest.raises(InputError, match="is part of the index already"):
        ingest(settings_of(**more))
    for changed in ({"policy": "blocks"}, {"template": "chat"}):
        with pytest.raises(SettingError, match="must be that of the index"):
            ingest(settings_of(**{**more, "policy": "triangle-dp", "template": "auto", **changed}))


def test_a_refused_text_leaves_no_file(settings_of: Any, tmp_path: Path) -> None:
    ingest(settings_of())
    before = sorted(path.name for path in (tmp_path / "index").iterdir())
    (tmp_path / "other.md").write_text("something else", encoding="utf-8")
    with pytest.raises(InputError, match="holds another index"):
        ingest(settings_of(files=(str(tmp_path / "other.md"),)))
    assert sorted(path.name for path in (tmp_path / "index").iterdir()) == before
    with pytest.raises(SettingError, match="index must name a folder"):
        ingest(settings_of(index=""))


def test_other_things_in_the_folder(settings_of: Any, tmp_path: Path, tiny_folder: Any) -> None:
    ingest(settings_of())
    with pytest.raises(InputError, match="holds another index"):
        ingest(settings_of(far=50))
    with pytest.raises(ModelError, match="rope must be that of the index"):
        ingest(settings_of(model=str(tiny_folder("llama-yarn"))))
    with pytest.raises(ModelError, match="dtype must be that of the index"):
        ingest(settings_of(precision="bf16"))
    path = tmp_path / "index" / "manifest.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps(told | {"format": 99}))
    with pytest.raises(InputError, match="must have format 2, got 99"):
        ingest(settings_of())


def test_refusals(settings_of: Any, tiny_folder: Any) -> None:
    with pytest.raises(SettingError, match="must be a policy that retrieves"):
        ingest(settings_of(policy="window"))
    with pytest.raises(BurnishError, match="needs a model that burnish's own decoder runs"):
        ingest(settings_of(model=str(tiny_folder("gpt2"))))
    with pytest.raises(SettingError, match="must be auto, chat or plain"):
        IngestSettings(index="i", template="x")
    told = ingest(settings_of(template="auto"))
    assert told["template"] == "chat" and told["index_frac"] > 0
