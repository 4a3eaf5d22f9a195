"""What each registered drafter proposes, from its own words: firp, medusa, ngram, constant."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from burnish.base.errors import ModelError
from burnish.contracts.drafter import Anchor, Drafter
from burnish.draft import drafters
from burnish.draft.maps import medusa_states, save_maps
from burnish.draft.ranked import RankedProposer, shape_for
from burnish.draft.ranks import Ranks


@pytest.mark.parametrize("name", drafters.names())
def test_every_method_keeps_the_contract(name: str) -> None:
    method = drafters.build(name)
    assert isinstance(method, Drafter)
    assert drafters.parse(drafters.spec(method)) == method


def test_constant_and_ngram(tiny_model: Any) -> None:
    model = tiny_model("llama")
    anchors = [Anchor(tokens=[5, 6, 7, 5, 6]), Anchor(tokens=[1])]
    constant = drafters.parse("constant:token=9,num=2").begin(model).propose(anchors)
    assert [(d.tokens, d.parents) for d in constant] == [((6, 9, 9), (-1, 0, 1)),
                                                         ((1, 9, 9), (-1, 0, 1))]  # fmt: skip
    ngram = drafters.parse("ngram:tokens=3").begin(model).propose(anchors)
    assert [d.tokens for d in ngram] == [(6, 7, 5, 6), (1,)]


def ranked(values: list[list[int]]) -> Ranks:
    return Ranks(values=torch.tensor(values, dtype=torch.uint8), lengths=[len(values)])


def test_drafts_hold_the_likeliest_tokens(tiny_model: Any, make_maps: Any) -> None:
    """Against the full head, sorted; tokens outside the vocabulary are never drafted."""
    model = tiny_model("llama")
    maps = make_maps(model, entries=(1, 1))
    tree = shape_for(maps, 6, 0)
    states = torch.randn(3, 2, model.config.hidden_size, generator=torch.Generator().manual_seed(1))
    proposer = RankedProposer(model, maps, tree, lambda _: states, riders=None, ngram=0)
    anchors = [Anchor(tokens=[4, 8 + i], final=states[0, 0]) for i in range(3)]
    for text, draft in enumerate(proposer.propose(anchors)):
        assert (draft.tokens[0], draft.parents) == (8 + text, tree.parents)
        for node in range(1, tree.num_nodes):
            offset = tree.depths[node] - 1
            with torch.no_grad():
                logits = model.network.head(states[text, offset][None])[0]
            order = sorted(maps.vocabulary.tolist(), key=lambda t, x=logits: -float(x[t]))
            assert draft.tokens[node] == order[tree.ranks[node]]


def test_the_tree_follows_the_statistics(make_maps: Any, tiny_model: Any) -> None:
    model = tiny_model("llama")
    deep = make_maps(model, entries=(1, 1), ranks=ranked([[0, 0]] * 9 + [[255, 255]]))
    assert shape_for(deep, 3, 0).parents == (-1, 0, 1)
    assert shape_for(deep, 3, 1).parents == (-1, 0)  # what was never right is not drafted
    wide = make_maps(model, entries=(1, 1), ranks=ranked([[0, 255]] * 5 + [[1, 255]] * 5))
    assert shape_for(wide, 3, 0).ranks == (-1, 0, 1)


def check_heads(states: Any) -> None:
    source = torch.Generator().manual_seed(2)
    rows = torch.randn(5, 7, generator=source)
    weight, bias = torch.randn(2, 7, 7, generator=source), torch.randn(2, 7, generator=source)
    found = states(rows, weight, bias)
    for head in range(2):
        for row in range(5):
            inner = weight[head] @ rows[row] + bias[head]
            wanted = rows[row] + inner / (1 + (-inner).exp())
            torch.testing.assert_close(found[head, row], wanted)


def test_heads_equal_the_formula() -> None:
    check_heads(medusa_states)


def test_planted_heads_without_residual() -> None:
    with pytest.raises(AssertionError):
        check_heads(
            lambda rows, w, b: torch.stack(
                [F.silu(F.linear(rows, *h)) for h in zip(w, b, strict=True)]
            )
        )


def test_maps_of_another_shape_are_refused(tiny_model: Any, make_maps: Any, tmp_path: Any) -> None:
    model = tiny_model("llama")
    path = tmp_path / "m.safetensors"
    save_maps(path, make_maps(tiny_model("qwen2")))
    with pytest.raises(ModelError, match="must be firp weights for 3 layers of width 28"):
        drafters.parse(f'firp:weights="{path}"').begin(model)
    save_maps(path, make_maps(model, kind="medusa"))
    with pytest.raises(ModelError, match="must be firp weights"):
        drafters.parse(f'firp:weights="{path}"').begin(model)
