"""Cut texts, joined turns, embeddings in any order."""

import numpy as np
import pytest

from burnish.base.meter import Meter
from burnish.curate import scoring
from burnish.curate.scoring import AGGREGATES, cut_tokens, embed_texts
from burnish.models.handle import ModelHandle


@pytest.fixture
def handle(tiny_folder):
    return ModelHandle(str(tiny_folder()), precision="fp32")


def test_turns_are_joined():
    assert [AGGREGATES[name]([1, 1, 4]) for name in ("sum", "mean", "max")] == [6, 2, 4]


def test_a_cut_text_is_a_beginning(handle):
    text = "river hat town sum " * 9
    cut = cut_tokens(handle, text, 7)
    assert text.startswith(cut) and 0 < len(cut) < len(text)
    assert len(handle.tokenizer(cut, add_special_tokens=False)["input_ids"]) == 7
    assert cut_tokens(handle, "hat", 7) == "hat"


def test_chunks_and_repeats_change_nothing(handle, monkeypatch):
    texts = ["river", "hat and town", "river", "sum"]
    meter = Meter()
    found = embed_texts(handle, texts, meter)
    assert (found[0] == found[2]).all() and found.shape == (4, 28)
    monkeypatch.setattr(scoring, "CHUNK", 1)
    assert np.allclose(embed_texts(handle, texts[::-1], Meter())[::-1], found, atol=1e-5)
    assert embed_texts(handle, [], Meter()).shape == (0, 0)
