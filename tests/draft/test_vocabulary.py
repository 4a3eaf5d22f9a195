"""The draft vocabulary and its head."""

from typing import Any

import pytest
import torch

from burnish.draft.vocabulary import head_rows, ranked_vocabulary


def test_ranking() -> None:
    assert ranked_vocabulary([[5, 5, 2], [5, 3, 3, 2]], 5, 9) == [5, 2, 3, 0, 1]
    assert ranked_vocabulary([], 20, 4) == [0, 1, 2, 3]


def check_head(model: Any, rows_of: Any) -> None:
    tokens = torch.tensor([7, 3, 200, 11])
    states = torch.randn(5, model.config.hidden_size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = model.network.head(states)[:, tokens]
    torch.testing.assert_close(states @ rows_of(model.network, tokens, torch.float32).T, wanted)


@pytest.mark.parametrize("family", ["llama", "mistral"])  # tied and not
def test_head_rows_give_the_heads_logits(family: str, tiny_model: Any) -> None:
    check_head(tiny_model(family), head_rows)


def test_planted_embedding_for_an_untied_head(tiny_model: Any) -> None:
    with pytest.raises(AssertionError):
        check_head(tiny_model("mistral"), lambda d, t, _: d.model.embed_tokens.weight[t])
