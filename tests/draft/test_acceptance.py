"""Acceptance on given prompts is that of decoding them."""

import dataclasses
from typing import Any

import pytest

from burnish.base.errors import InputError
from burnish.contracts.generation import Request, Sampling
from burnish.data.chat import render_prompt
from burnish.draft import acceptance as acceptance_module
from burnish.draft.acceptance import Use, measure_acceptance
from burnish.draft.loop import generate_drafted
from burnish.draft.maps import save_maps
from burnish.draft.tree import Tree, grow_tree

PROMPTS = [f"{word} {i} abc" for i in range(3) for word in ("red", "blue")]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptance_module, "NEW_TOKENS", 24)


def check_decoding(model: Any, maps: Any, spec: str, tree: Tree, ngram: int, shift: int) -> None:
    """Passes of greedy decoding equal those that the measured ranks predict."""
    ranks = measure_acceptance(model, maps, Use(prompts=PROMPTS))
    sampling = Sampling(max_new_tokens=acceptance_module.NEW_TOKENS)
    for index in range(0, len(PROMPTS), 2):  # the greedy ones
        prompt = tuple(render_prompt(model.tokenizer, PROMPTS[index]))
        request = Request(id="r", prompt=prompt, sampling=sampling)
        (done,) = generate_drafted(model, [request], drafter=spec)
        # the last pass of a text may also be the one behind its last anchor
        assert done.num_passes - 1 - len(ranks.visits(tree, ngram)[index]) - shift in (0, 1)


def test_ranks_equal_those_of_decoding(
    tiny_model: Any, make_maps: Any, tmp_path: Any, short: None
) -> None:
    model = dataclasses.replace(tiny_model("llama"), eos_ids=frozenset())
    maps = dataclasses.replace(make_maps(model, entries=(1, 2)), ranks=None)
    maps = dataclasses.replace(maps, ranks=measure_acceptance(model, maps, Use(prompts=PROMPTS)))
    save_maps(tmp_path / "m.safetensors", maps)
    tree = grow_tree(maps.ranks.acceptance()[:1], 5)
    spec = f'firp:weights="{tmp_path}/m.safetensors",nodes=5,offsets=1,ngram=3'
    check_decoding(model, maps, spec, tree, 3, 0)


def test_lookup_alone_needs_no_maps(tiny_model: Any, short: None) -> None:
    model = dataclasses.replace(tiny_model("llama"), eos_ids=frozenset())
    check_decoding(model, None, "ngram:tokens=3", Tree(), 3, 0)
    with pytest.raises(AssertionError):  # planted: three passes more than were made
        check_decoding(model, None, "ngram:tokens=3", Tree(), 3, 3)


def test_answers_too_short_to_guess_at(tiny_model: Any, short: None) -> None:
    model = tiny_model("llama")
    silent = dataclasses.replace(model, eos_ids=frozenset(range(269)))
    with pytest.raises(InputError, match="prompts must give answers"):
        measure_acceptance(silent, None, Use(prompts=PROMPTS))
