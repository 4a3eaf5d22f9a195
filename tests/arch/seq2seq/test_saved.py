"""Folders are read as they were written, and wrong ones are refused with a sentence."""

from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures.translating import END, tiny_network, tiny_shapes, write_pairs

from burnish.arch.seq2seq import saved as module
from burnish.arch.seq2seq.pairs import read_pairs
from burnish.arch.seq2seq.saved import Translator, check_texts, open_translator, save_translator
from burnish.arch.seq2seq.settings import BeamSettings
from burnish.arch.tokenizer import learn_tokenizer
from burnish.base.errors import InputError, MissingFileError, ModelError
from burnish.base.files import read_json, write_json
from burnish.models.load import read_tokenizer

BLOCK = "pcformer:order=2"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    texts = [p.source for p in read_pairs(write_pairs(tmp_path))]
    learn_tokenizer(texts, tmp_path / "tokenizer", vocab=281, exact=False)
    tokenizer = read_tokenizer(tmp_path / "tokenizer")
    network = tiny_network(BLOCK, vocab=281)
    translator = Translator(network=network, tokenizer=tokenizer, end=END)
    save_translator(translator, tiny_shapes(BLOCK, vocab=281), tmp_path / "model")
    return tmp_path


def check_opened(folder: Path) -> None:
    network = tiny_network(BLOCK, vocab=281)
    for spec in (folder, folder / "model"):  # a run keeps its model inside
        again = open_translator(spec, device="cpu")
        for name, value in network.state_dict().items():
            assert torch.equal(again.network.state_dict()[name], value), name
        assert again.network.encoder.embed_tokens is again.network.decoder.model.embed_tokens
        assert again.end == END and not again.network.training
    search = BeamSettings(beam=2, max_new_tokens=5)
    own = Translator(network=network, tokenizer=again.tokenizer, end=END)
    texts = ["1 ab", "2 cd ef", "ü"]
    assert again.translate(texts, search) == own.translate(texts, search)


def test_opened_equals_saved(folder: Path) -> None:
    check_opened(folder)


def test_planted_weights_that_are_not_read(folder: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(torch.Tensor, "copy_", lambda self, other: self)
    with pytest.raises(AssertionError):
        check_opened(folder)


def test_wrong_folders(folder: Path) -> None:
    with pytest.raises(MissingFileError):
        open_translator(folder / "none")
    with pytest.raises(ModelError, match=r"must contain seq2seq\.json"):
        open_translator(folder / "tokenizer")
    path = folder / "model" / module.SHAPES
    told = read_json(path)
    wrong = ({"form": 2}, {"encoder": {}}, {"decoder": {**told["decoder"], "ffn_width": 41}})
    for change in (*wrong, {"encoder": {**told["encoder"], "num_layers": 1}}):
        write_json(path, told | change)
        with pytest.raises(ModelError, match="must be complete, and written by this version"):
            open_translator(folder)
    write_json(path, told)
    weights = folder / "model" / module.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:200])
    with pytest.raises(ModelError, match="must be complete, and written by this version"):
        open_translator(folder)


def test_empty_texts() -> None:
    check_texts(["a"])
    with pytest.raises(InputError, match="text 2 must not be empty, got ' '"):
        check_texts(["a", " "])
