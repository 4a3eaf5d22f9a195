"""Embeddings of texts: hidden states of a chosen layer, pooled over each text's tokens."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from burnish.base.errors import SettingError
from burnish.base.meter import Meter
from burnish.data.packing import fill_passes
from burnish.kv.shared import Forest
from burnish.models.adapters import Adapter
from burnish.models.load import Model


def embed(
    model: Model,
    texts: Sequence[str | Sequence[int]],
    *,
    pooling: str = "mean",
    layer: int | None = None,
    normalised: bool = True,
    batch_rows: int = 2048,
    meter: Meter | None = None,
) -> Float[Tensor, "B d"]:
    """One vector per text (or its token ids), in fp32 on the CPU; independent of the other texts.

    `mean` averages over tokens that are not special (all, if a text has only special ones), `last`
    is the last token's state. `layer` counts as transformers' `hidden_states`: 0 are the token
    embeddings, None the last state, after the final norm. `normalised` gives unit length.
    A pass holds at most `batch_rows` rows without padding; a longer text has a pass of its own.
    The meter counts tokens as `prefilled`.
    Raises SettingError for a text without a token, one beyond the model's window, or a layer or
    pooling that does not exist.
    Source: ours. Oracle: tests/engine/test_embed.py::test_vectors_equal_transformers
    """
    _check_settings(model, pooling, layer, batch_rows)
    sequences = [_tokens(model, index, text) for index, text in enumerate(texts)]
    special, meter = set(model.tokenizer.all_special_ids), meter or Meter()
    vectors: list[Tensor] = []
    with torch.inference_mode():
        for some in fill_passes(sequences, batch_rows, rows_of=len):
            meter.add("prefilled", sum(map(len, some)))
            meter.add("passes", 1)
            for tokens, rows in zip(some, _states(model, some, layer), strict=True):
                kept = [i for i, token in enumerate(tokens) if token not in special]
                if pooling == "last":
                    kept = [-1]
                states = rows[kept] if kept else rows
                vectors.append(states.float().mean(dim=0).cpu())
    if not vectors:
        return torch.zeros(0, model.config.hidden_size)
    found = torch.stack(vectors)
    return torch.nn.functional.normalize(found, dim=-1) if normalised else found


def _check_settings(model: Model, pooling: str, layer: int | None, batch_rows: int) -> None:
    most = model.config.num_hidden_layers
    checks = [
        ("batch_rows", batch_rows, batch_rows >= 1, "must be at least 1", "2048 is usual"),
        ("pooling", pooling, pooling in ("mean", "last"), "must be mean or last", "Use mean"),
        (
            "layer",
            layer,
            layer is None or 0 <= layer <= most,
            f"must be 0 to {most}",
            "Leave it out",
        ),
    ]
    for name, value, good, rule, remedy in checks:
        if not good:
            raise SettingError(name, value, rule, remedy=remedy)


def _tokens(model: Model, index: int, text: str | Sequence[int]) -> list[int]:
    tokens = model.tokenizer(text)["input_ids"] if isinstance(text, str) else list(text)
    if not tokens:
        raise SettingError(f"text {index}", text, "must have a token", remedy="Leave it out")
    if len(tokens) > model.max_position:
        rule = f"must fit the model's window of {model.max_position} tokens"
        raise SettingError(f"text {index}", len(tokens), rule, remedy="Cut it")
    return tokens


def _states(model: Model, some: Sequence[list[int]], layer: int | None) -> Sequence[Tensor]:
    """Rows `[T d]` of every text."""
    if isinstance(model.network, Adapter):
        return [model.network.states(tokens, layer) for tokens in some]
    forest = Forest()
    for tokens in some:
        forest.chain(tokens)
    return forest.run(model.network, last_layer=layer).split([len(tokens) for tokens in some])
