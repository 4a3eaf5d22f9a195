"""Embeddings against transformers' hidden states, pooled in NumPy."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from burnish.base.errors import SettingError
from burnish.base.meter import Meter
from burnish.engine import embed as embed_module
from burnish.engine.embed import embed
from burnish.kv.shared import Forest
from burnish.models.load import Model

Embed = Callable[..., torch.Tensor]
TEXTS = ("the hen", "a", "abc 12 in the tin<|im_end|>", "on the other hand, the tin is abc" * 3)


def wanted(model: Model, reference: Any, text: str, pooling: str, layer: int | None) -> np.ndarray:
    """Special tokens of the tiny tokenizer are 0, 1 and 2."""
    tokens = model.tokenizer.encode(text)
    with torch.no_grad():
        ids = torch.tensor([tokens])
        states = reference(input_ids=ids, use_cache=False, output_hidden_states=True).hidden_states
    rows = states[len(states) - 1 if layer is None else layer][0].double().numpy()
    if pooling == "last":
        return rows[-1]
    return rows[[token > 2 for token in tokens]].mean(axis=0)


def check_vectors(embed_texts: Embed, model: Model, reference: Any) -> None:
    for pooling, layer in (("mean", None), ("last", None), ("mean", 1), ("last", 0), ("mean", 2)):
        settings = {"pooling": pooling, "layer": layer}
        found = embed_texts(model, TEXTS, **settings, normalised=False).numpy()
        every = np.array([wanted(model, reference, text, pooling, layer) for text in TEXTS])
        np.testing.assert_allclose(found, every, atol=2e-5, rtol=1e-4)
        units = embed_texts(model, TEXTS, **settings).numpy()
        lengths = np.linalg.norm(every, axis=1, keepdims=True)
        np.testing.assert_allclose(units, every / lengths, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("family", ["llama-biased", "qwen2-sliding", "gpt2", "mamba", "gemma2"])
def test_vectors_equal_transformers(family: str, tiny_model: Any, tiny_reference: Any) -> None:
    check_vectors(embed, tiny_model(family), tiny_reference(family))


@pytest.mark.parametrize("family", ["llama", "mistral", "gpt2"])
def test_alone_and_among_others(family: str, tiny_model: Any) -> None:
    model, meter = tiny_model(family), Meter()
    whole = embed(model, TEXTS, meter=meter)
    for batch_rows in (1, 12, 2048):
        turned = embed(model, TEXTS[::-1], batch_rows=batch_rows)
        torch.testing.assert_close(turned.flip(0), whole, atol=1e-6, rtol=1e-5)
    assert meter.totals()["prefilled"] == sum(len(model.tokenizer.encode(t)) for t in TEXTS)
    assert meter.totals()["passes"] == 1


def test_only_special_tokens_and_none(tiny_model: Any) -> None:
    model = tiny_model("llama")
    ends, doubled = embed(model, ["<|im_end|>", "<|im_end|>"])
    assert torch.equal(ends, doubled)
    assert float(ends.norm()) == pytest.approx(1.0)
    assert embed(model, []).shape == (0, 28)


def test_refusals(tiny_model: Any) -> None:
    model = dataclasses.replace(tiny_model("llama"), max_position=5)
    for settings, says in (
        ({"layer": 4}, "layer must be 0 to 3, got 4"),
        ({"layer": -1}, "layer must be 0 to 3"),
        ({"pooling": "max"}, "pooling must be mean or last"),
        ({"batch_rows": 0}, "batch_rows must be at least 1"),
    ):
        with pytest.raises(SettingError, match=says):
            embed(model, ["a"], **settings)
    with pytest.raises(SettingError, match="text 1 must have a token"):
        embed(model, ["a", ""])
    with pytest.raises(SettingError, match="window of 5 tokens, got 10"):
        embed(model, ["aaaaaaaaaa"])


def test_planted_special_tokens_count(tiny_model: Any, tiny_reference: Any) -> None:
    def with_all(model: Model, texts: Any, **settings: Any) -> torch.Tensor:
        class Plain:
            all_special_ids = ()

            def __call__(self, text: str) -> Any:
                return model.tokenizer(text)

        return embed(dataclasses.replace(model, tokenizer=Plain()), texts, **settings)

    with pytest.raises(AssertionError):
        check_vectors(with_all, tiny_model("llama"), tiny_reference("llama"))


def test_planted_texts_see_each_other(
    tiny_model: Any, tiny_reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def joined(self: Forest, tokens: Any, *, after: int | None = None) -> int:
        return exact(self, tokens, after=len(self.blocks) - 1 if self.blocks else None)

    exact = Forest.chain
    monkeypatch.setattr(embed_module.Forest, "chain", joined)
    with pytest.raises(AssertionError):
        check_vectors(embed, tiny_model("llama"), tiny_reference("llama"))
