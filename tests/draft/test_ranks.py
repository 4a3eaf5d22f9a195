"""Acceptance statistics against planted ones, and replay against real decoding."""

import dataclasses
from typing import Any

import pytest
import torch
from fixtures.tiny import texts

from burnish.contracts.generation import Request, Sampling
from burnish.draft.distil import Text
from burnish.draft.guesses import measure_ranks
from burnish.draft.loop import generate_drafted
from burnish.draft.maps import save_maps
from burnish.draft.ranks import MISSED, Ranks
from burnish.draft.streams import collect_streams
from burnish.draft.tree import chain, grow_tree
from burnish.draft.vocabulary import head_rows
from burnish.engine.generate import generate


def planted(table: list[list[float]], num: int = 40_000) -> Ranks:
    """Ranks drawn independently: rank r at depth i with chance table[i][r]."""
    source = torch.Generator().manual_seed(0)
    columns = []
    for row in table:
        chances = torch.tensor([*row, 1 - sum(row)])
        drawn = torch.multinomial(chances, num, replacement=True, generator=source)
        columns.append(torch.where(drawn == len(row), MISSED, drawn))
    return Ranks(values=torch.stack(columns, 1).to(torch.uint8), lengths=[num // 100] * 100)


def test_planted_acceptance_is_found() -> None:
    table = [[0.5, 0.2, 0.1], [0.4, 0.2, 0.0]]
    ranks = planted(table)
    for found, wanted in zip(ranks.acceptance(3), table, strict=True):
        assert found == pytest.approx(wanted, abs=0.015)
    hits, total = ranks.top(0, 2)
    assert hits / total == pytest.approx(0.7, abs=0.01)
    tree = grow_tree(table, 5)
    accepted = ranks.accepted(tree).double().mean() + 1
    assert float(accepted) == pytest.approx(tree.expected_tokens(table), abs=0.02)
    wanted = chain(2).expected_tokens(table)
    assert ranks.tokens_per_pass(chain(2)) == pytest.approx(wanted, rel=0.02)


def test_acceptance_knows_its_condition() -> None:
    """Depth 2 counts only behind a right depth 1; what lies behind the end counts nowhere."""
    values = torch.tensor([[0, 0], [MISSED, 0], [0, MISSED], [0, MISSED]], dtype=torch.uint8)
    ranks = Ranks(values=values, lengths=[3, 1])
    assert ranks.exists().tolist() == [[True, True], [True, True], [True, False], [True, False]]
    assert ranks.acceptance(1) == [[0.75], [1.0]]


def check_replay(model: Any, maps: Any, tmp_path: Any, *, ngram: int = 0, **spec: Any) -> None:
    """Passes counted in decoding equal those that replay predicts from one forward pass."""
    model = dataclasses.replace(model, eos_ids=frozenset())
    sampling = Sampling(max_new_tokens=40)
    requests = [
        Request(id=str(i), prompt=tuple(prompt), sampling=sampling)
        for i, prompt in enumerate(texts([7, 12, 1, 30]))
    ]
    plain = generate(model, requests)
    known = [
        Text(id=r.id, prompt=r.prompt, answer=tuple(c.tokens))
        for r, c in zip(requests, plain, strict=True)
    ]
    streams = collect_streams(model, known, maps.entries)
    head = head_rows(model.network, maps.vocabulary, torch.float32)
    ranks = measure_ranks(model.network, maps, head, streams, range(len(known)))
    maps = dataclasses.replace(maps, ranks=ranks)
    save_maps(tmp_path / "maps.safetensors", maps)
    tree = grow_tree(ranks.acceptance(), 6)
    settings = "".join(f",{k}={v}" for k, v in {**spec, "ngram": ngram}.items())
    drafter = f'{maps.kind}:weights="{tmp_path}/maps.safetensors",nodes=6,offsets=0{settings}'
    found = generate_drafted(model, requests, drafter=drafter, batch_size=3)
    assert [c.tokens for c in found] == [c.tokens for c in plain]
    passes = [num for _, num in ranks.replay(tree, ngram)]
    assert [c.num_passes - 1 for c in found] == passes
    assert sum(passes) < 4 * 39  # something is accepted


@pytest.fixture
def good_maps(make_maps: Any) -> Any:
    """Maps that are right now and then: the identity, over few tokens."""

    def make(model: Any, **settings: Any) -> Any:
        maps = make_maps(model, **settings)
        size = model.config.hidden_size
        weight = torch.zeros_like(maps.weight)
        weight[:, :, :size] = torch.eye(size)
        if maps.kind == "medusa":
            weight = weight * 0.5
        return dataclasses.replace(
            maps,
            weight=weight.bfloat16().float(),
            bias=torch.zeros_like(maps.bias),
            vocabulary=torch.arange(269),
        )

    return make


@pytest.mark.parametrize("passes", ["one", "two"])
def test_replay_equals_decoding(
    passes: str, tiny_model: Any, good_maps: Any, tmp_path: Any
) -> None:
    model = tiny_model("llama")
    check_replay(model, good_maps(model), tmp_path, passes=passes)


def test_replay_with_lookup_equals_decoding(tiny_model: Any, good_maps: Any, tmp_path: Any) -> None:
    model = tiny_model("llama")
    check_replay(model, good_maps(model), tmp_path, ngram=3)


def test_replay_of_medusa_equals_decoding(tiny_model: Any, good_maps: Any, tmp_path: Any) -> None:
    model = tiny_model("llama")
    check_replay(model, good_maps(model, kind="medusa"), tmp_path)


def test_planted_ranks_one_token_late(
    tiny_model: Any, good_maps: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = Ranks.accepted
    monkeypatch.setattr(Ranks, "accepted", lambda self, tree, n=0: exact(self, tree, n).roll(1))
    model = tiny_model("llama")
    with pytest.raises(AssertionError):
        check_replay(model, good_maps(model), tmp_path)
