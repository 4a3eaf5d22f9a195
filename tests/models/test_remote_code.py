"""Folders of models with a solver, read by transformers through their own code, and by us."""

import ast
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures.tiny import packed_logits, reference_logits, texts
from torch import Tensor

from burnish.arch.blocks import blocks
from burnish.arch.blocks.pcformer import PCformerBlock
from burnish.arch.upcycle_solver import upcycle_solver
from burnish.base.errors import ModelError
from burnish.base.files import read_json, write_json
from burnish.models import remote_code as module
from burnish.models.load import load_model
from burnish.models.remote_code import MODULES, portable_source
from burnish.models.save import save_model

SPECS = {
    "llama": "pcformer:order=2,beta=0.5",
    "mistral": "pcformer:order=2,shared_kv=true,beta=0.7",
    "qwen2": "pcformer:order=4,beta=none,corrector=mix,function=rknorm,gamma_form=raw",
    "qwen3": "pcformer:orders=1x1-4x2,corrector=moulton,history=4,beta=0.7,gamma_scope=channel",
    "moe-qwen2": "pcformer:order=2,corrector=ema,history=3,beta=0.4",
}


@pytest.fixture
def folder(tmp_path: Path, tiny_folder: Any) -> Any:
    """A saved model of a family, its solver's parameters moved off their first values."""

    def make(family: str) -> Path:
        model = load_model(str(tiny_folder(family)), precision="fp32", device="cpu")
        block = blocks.parse(SPECS[family])
        assert isinstance(block, PCformerBlock)
        made = upcycle_solver(model, block).model
        source = torch.Generator().manual_seed(4)
        for name, parameter in made.network.named_parameters():
            if ".solver." in name:
                parameter.data += 0.2 * torch.randn(parameter.shape, generator=source)
        return save_model(made, tmp_path / family)

    return make


def transformers_model(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    given = {"trust_remote_code": True, "dtype": torch.float32, "local_files_only": True}
    return AutoModelForCausalLM.from_pretrained(folder, **given).eval()


def check_same_logits(folder: Path) -> None:
    ours = load_model(str(folder), precision="fp32", device="cpu")
    theirs = transformers_model(folder)
    tokens = texts((13,))[0]
    found, wanted = packed_logits(ours.network, [tokens])[0], reference_logits(theirs, tokens)
    assert float((found - wanted).abs().max()) <= 1e-4 * max(1.0, float(wanted.abs().max()))
    prompt = torch.tensor([tokens])
    with torch.no_grad():
        texts_of: list[Tensor] = [
            theirs.generate(prompt, max_new_tokens=6, do_sample=False, use_cache=cache)
            for cache in (True, False)
        ]
    assert torch.equal(*texts_of)


@pytest.mark.parametrize("family", SPECS)
def test_transformers_gives_the_same_logits(family: str, folder: Any) -> None:
    check_same_logits(folder(family))


def test_planted_cache_of_the_corrector_alone(folder: Any) -> None:
    """The released scheme: all evaluations in one layer of the cache."""
    place = folder("llama")
    code = place / "modeling_pcformer.py"
    text = code.read_text()
    assert "place + " in text
    code.write_text(text.replace("place = solver.first_place(index)", "place = index").replace(
        "once, place = (layer.forward, solver.first_place(index))",
        "once, place = (layer.forward, index)",
    ))  # fmt: skip
    with pytest.raises((AssertionError, RuntimeError)):
        check_same_logits(place)


def test_our_decoder_reads_its_own_folder(folder: Any, monkeypatch: Any) -> None:
    """Without running the folder's code, without a question, and saved again it is the same."""
    place = folder("llama")
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked"))
    first = load_model(str(place), precision="fp32", device="cpu")
    again = load_model(str(save_model(first, place.parent / "again")), precision="fp32")
    for one, other in zip(*(packed_logits(m.network, texts()) for m in (first, again)),
                          strict=True):  # fmt: skip
        assert torch.equal(one, other)
    config = read_json(place / "config.json")
    assert config["model_type"] == "pcformer_llama" and "auto_map" in config
    del config["solver"]
    write_json(place / "config.json", config)
    with pytest.raises(ModelError, match=r"^config\.json must contain the solver's settings, got"):
        load_model(str(place), precision="fp32", device="cpu")


def check_portable() -> None:
    for name in MODULES:
        for node in ast.walk(ast.parse(portable_source(name))):
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                assert str(node.module).split(".")[0] in {"torch", "transformers", "typing",
                                                          "dataclasses"}  # fmt: skip


def test_code_stands_alone() -> None:
    check_portable()


def test_planted_import_that_stays(monkeypatch: Any) -> None:
    exact = ast.unparse
    monkeypatch.setattr(
        module.ast, "unparse", lambda tree: "from jaxtyping import Float\n" + exact(tree)
    )
    with pytest.raises(AssertionError):
        check_portable()
