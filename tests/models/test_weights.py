"""Which weight files count, and that each fault of one is told in a line that names it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures.tiny import packed_logits, reference_logits, texts
from safetensors.torch import load_file, save_file

from burnish.base.errors import ModelError
from burnish.models import load as load_module
from burnish.models import weights as weights_module
from burnish.models.load import load_model
from burnish.models.weights import first_line, weight_files

SINGLE = "model.safetensors"


@pytest.fixture
def copied(tiny_folder: Any, tmp_path: Path) -> Callable[[str], Path]:
    return lambda family="llama": Path(shutil.copytree(tiny_folder(family), tmp_path / "model"))


def shard(folder: Path, *, index: bool = True) -> None:
    """Two shards in place of the one file."""
    state = load_file(folder / SINGLE)
    (folder / SINGLE).unlink()
    names = sorted(state)
    files = {f"model-0000{i + 1}-of-00002.safetensors": names[i::2] for i in (0, 1)}
    for file, part in files.items():
        save_file({name: state[name] for name in part}, folder / file, metadata={"format": "pt"})
    if index:
        place = {name: file for file, part in files.items() for name in part}
        (folder / f"{SINGLE}.index.json").write_text(
            json.dumps({"metadata": {}, "weight_map": place})
        )


def put_beside(folder: Path) -> None:
    """Files that people's folders hold and that are not the model's weights."""
    wrong = {"model.norm.weight": torch.full((28,), 7.0), "other": torch.ones(1)}
    others = ("consolidated", "adapter_model", "model-00003-of-00003")
    for name in others:
        save_file(wrong, folder / f"{name}.safetensors")


def check_logits(folder: Path, kind: str = "llama") -> None:
    """Our model of a folder has the logits that transformers' has."""
    from transformers import AutoModelForCausalLM

    reference = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    sequences = texts([13, 5])
    found = packed_logits(load_model(str(folder), precision="fp32").network, sequences)
    for logits, tokens in zip(found, sequences, strict=True):
        wanted = reference_logits(reference, tokens)
        torch.testing.assert_close(logits, wanted, atol=1e-4, rtol=1e-4)


def test_files_are_those_of_transformers(copied: Any) -> None:
    folder = copied()
    put_beside(folder)
    check_logits(folder)
    shard(folder)
    check_logits(folder)


def test_planted_all_files_are_read(copied: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = copied()
    put_beside(folder)
    monkeypatch.setattr(
        weights_module, "weight_files", lambda folder: sorted(folder.glob("*.safetensors"))
    )
    with pytest.raises((AssertionError, ModelError)):
        check_logits(folder)


def test_shards_without_an_index_must_be_complete(copied: Any, tiny_model: Any) -> None:
    folder = copied()
    shard(folder, index=False)
    save_file({"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(3)},
              folder / "consolidated.00.safetensors")  # fmt: skip
    found = packed_logits(load_model(str(folder), precision="fp32").network, texts())
    wanted = packed_logits(tiny_model("llama").network, texts())
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ModelError, match=r"must contain all 2 shards \(1 found\)"):
        weight_files(folder)


def test_older_formats_and_stored_frequencies(copied: Any) -> None:
    folder = copied()
    state = load_file(folder / SINGLE)
    (folder / SINGLE).unlink()
    state["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(3)
    torch.save(state, folder / "pytorch_model.bin")
    check_logits(folder)
    bare = {name.removeprefix("model."): tensor for name, tensor in state.items()}
    torch.save(bare, folder / "pytorch_model.bin")  # as `AutoModel` saves it
    check_logits(folder)


@pytest.mark.parametrize("kept", ["both", "differ", "head"])
def test_stored_heads_are_read_as_transformers_does(kept: str, copied: Any) -> None:
    folder = copied()
    state = load_file(folder / SINGLE)
    table = state["model.embed_tokens.weight"]
    state["lm_head.weight"] = table.flip(0).contiguous() if kept == "differ" else table.clone()
    if kept == "head":
        del state["model.embed_tokens.weight"]
    save_file(state, folder / SINGLE, metadata={"format": "pt"})
    check_logits(folder)


def test_planted_a_stored_head_is_dropped(copied: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_module.torch, "equal", lambda a, b: True)
    with pytest.raises(AssertionError):
        test_stored_heads_are_read_as_transformers_does("differ", copied)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def point(file: Path) -> None:
    file.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 9\n")


def drop(file: Path) -> None:
    state = load_file(file)
    name = next(name for name in state if name.endswith("norm.weight") or "ln_f" in name)
    del state[name]
    save_file(state, file, metadata={"format": "pt"})


def widen(file: Path) -> None:
    state = load_file(file)
    name = next(name for name in state if name.endswith(("down_proj.weight", "c_fc.weight")))
    state[name] = torch.zeros(3, 5)
    save_file(state, file, metadata={"format": "pt"})


def add(file: Path) -> None:
    save_file(load_file(file) | {"model.extra": torch.ones(1)}, file, metadata={"format": "pt"})


FAULTS = [(cut, "cannot be"), (empty, "is empty"), (point, "git-lfs pointer"), (drop, "is missing"),
          (widen, "does not fit|cannot be loaded")]  # fmt: skip


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize(("spoil", "says"), FAULTS, ids=[f.__name__ for f, _ in FAULTS])
def test_faults_of_a_file_are_one_line_that_names_it(
    spoil: Callable[[Path], None], says: str, family: str, copied: Any
) -> None:
    folder = copied(family)
    spoil(folder / SINGLE)
    with pytest.raises(ModelError, match=says) as caught:
        load_model(str(folder))
    line = str(caught.value)
    assert str(folder) in line and "\n" not in line and len(line) <= 400


def test_unknown_weights_and_folders_without_any(copied: Any) -> None:
    folder = copied()
    add(folder / SINGLE)
    with pytest.raises(ModelError, match=r"weight model.extra is not in a model of its config"):
        load_model(str(folder))
    (folder / SINGLE).unlink()
    with pytest.raises(ModelError, match=r"must contain model\.safetensors"):
        load_model(str(folder))
    (folder / f"{SINGLE}.index.json").write_text('{"weight_map": {"a": "gone.safetensors"}}')
    with pytest.raises(ModelError, match="does not exist in its folder"):
        load_model(str(folder))
    (folder / f"{SINGLE}.index.json").write_text('{"weights": 1}')
    with pytest.raises(ModelError, match="must be an index with a weight_map"):
        load_model(str(folder))


@pytest.mark.parametrize("kind", ["a folder", "a link to nothing"])
def test_what_is_no_file_is_one_line(kind: str, copied: Any) -> None:
    folder = copied()
    (folder / SINGLE).unlink()
    (folder / SINGLE).mkdir() if kind == "a folder" else (folder / SINGLE).symlink_to("gone")
    with pytest.raises(ModelError, match=r"weights file cannot be read .*model\.safetensors"):
        load_model(str(folder))


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ValueError("one\ntwo"), "one"),
        (ValueError("one of: \n (1) a file\n (2) more"), "one of: (1) a file"),
        (ValueError("one:"), "one:"),
        (ValueError("\n"), "ValueError"),
        (KeyError("banana"), "KeyError: 'banana'"),
        (ValueError("x" * 300), "x" * 160),
    ],
)
def test_what_another_library_says_in_a_line(error: Exception, says: str) -> None:
    assert first_line(error) == says
