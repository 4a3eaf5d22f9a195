"""Files of maps: what comes back, what is refused, and which model they belong to."""

import dataclasses
from typing import Any

import pytest
import torch

from burnish.base.errors import InputError, MissingFileError
from burnish.draft.maps import backbone_key, load_maps, maps_for, save_maps
from burnish.draft.ranks import Ranks


def test_everything_comes_back(tiny_model: Any, make_maps: Any, tmp_path: Any) -> None:
    ranks = Ranks(values=torch.tensor([[0, 3, 255]], dtype=torch.uint8), lengths=[1])
    maps = make_maps(
        tiny_model("llama"), source="previous", knows_next=True, cross=False, ranks=ranks,
        info={"numbers": {"top1": 0.5}},
    )  # fmt: skip
    save_maps(tmp_path / "m.safetensors", maps)
    found = load_maps(tmp_path / "m.safetensors")
    assert torch.equal(found.weight, maps.weight.bfloat16().float())
    assert torch.equal(found.vocabulary, maps.vocabulary.int())
    assert found.ranks is not None
    assert torch.equal(found.ranks.values, ranks.values)
    for name in ("kind", "entries", "source", "knows_next", "cross", "backbone", "info"):
        assert getattr(found, name) == getattr(maps, name)


def test_the_key_is_that_of_the_weights(tiny_model: Any) -> None:
    llama = tiny_model("llama")
    assert backbone_key(llama) != backbone_key(tiny_model("qwen3"))
    assert backbone_key(llama) == backbone_key(tiny_model("llama", "bf16"))


def test_maps_of_another_model_are_told(
    tiny_model: Any, make_maps: Any, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    model, path = tiny_model("llama"), tmp_path / "m.safetensors"
    save_maps(path, make_maps(model))
    maps_for(model, "firp", str(path))
    assert capsys.readouterr().err == ""
    save_maps(path, dataclasses.replace(make_maps(model), backbone="another"))
    maps_for(model, "firp", str(path))
    assert "trained for another model" in capsys.readouterr().err


def test_files_that_hold_no_maps(tmp_path: Any) -> None:
    from safetensors.torch import save_file

    with pytest.raises(MissingFileError, match="does not exist"):
        load_maps(tmp_path / "m.safetensors")
    (tmp_path / "text.safetensors").write_text("hello, this is no safetensors file at all")
    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    for name in ("text", "other"):
        with pytest.raises(InputError, match="must contain trained maps"):
            load_maps(tmp_path / f"{name}.safetensors")
