"""Plain or drafted by name: `auto` follows the planner, and no way changes a text."""

from collections.abc import Callable
from typing import Any

import pytest

from burnish.base.errors import BurnishError, ModelError, UnknownNameError
from burnish.base.stats import Estimate
from burnish.contracts.generation import Sampling
from burnish.draft import choice as choice_module
from burnish.draft.choice import check_draft, choose, generate_with
from burnish.draft.planner import DraftPlan
from burnish.engine.generate import generate

MIXED = (
    Sampling(max_new_tokens=11, temperature=1.0, seed=1),
    Sampling(max_new_tokens=17),
    Sampling(max_new_tokens=8, temperature=0.8, top_p=0.9, seed=2),
)


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, float], list[int]]:
    """A planner that says what it is told; returns the batch sizes that it was asked for."""

    def plant(name: str, gain: float) -> list[int]:
        asked: list[int] = []

        def plan(model: Any, *, batch_size: int, **_: Any) -> DraftPlan:
            asked.append(batch_size)
            speedup = Estimate(value=gain, low=gain - 0.1, high=gain + 0.1, n=9)
            return DraftPlan(choice=name, speedup=speedup, batch_size=batch_size, plain_step_s=0.02)

        monkeypatch.setattr(choice_module, "plan_drafts", plan)
        return asked

    return plant


def test_auto_follows_the_plan(tiny_model: Any, planted: Any) -> None:
    model = tiny_model("llama")
    asked = planted("ngram:tokens=3", 1.4)
    found = choose(model, "auto", batch_size=5)
    assert (found.name, asked) == ("ngram:tokens=3", [5])
    assert found.ready is not None and "predicted 1.40x" in found.reason
    assert found.to_dict()["plan"]["speedup"]["value"] == 1.4
    planted("plain", 0.8)
    refused = choose(model, "auto")
    assert (refused.name, refused.ready) == ("plain", None)
    assert refused.reason.startswith("plain decoding is faster with one text")
    assert "at most predicted to be 0.80x" in refused.reason


def test_auto_without_a_drafter_is_plain(tiny_model: Any) -> None:
    found = choose(tiny_model("llama"), "auto")
    assert (found.name, found.plan) == ("plain", None)
    assert "no firp weights in the package" in found.reason
    assert "cannot be decoded with drafts" in choose(tiny_model("gpt2"), "auto").reason


def test_a_named_drafter_is_taken_at_its_word(tiny_model: Any, planted: Any) -> None:
    asked = planted("plain", 0.5)
    assert choose(tiny_model("llama"), "constant").name == "constant"
    assert choose(tiny_model("llama"), "plain").reason == "asked for"
    assert asked == []
    with pytest.raises(ModelError, match="has no firp weights"):
        choose(tiny_model("llama"), "firp")


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8", "int4"])
@pytest.mark.parametrize("draft", ["auto", "firp", "ngram", "medusa", "plain"])
def test_every_way_gives_the_plain_text(
    draft: str,
    precision: str,
    tiny_model: Any,
    weights_of: Any,
    requests_of: Any,
    same_texts: Any,
    planted: Any,
) -> None:
    planted("ngram:tokens=5,min_match=1", 1.3)
    model = tiny_model("llama-wide", precision)
    spec = draft
    if draft in ("firp", "medusa"):
        path = weights_of(model, kind=draft, entries=(1, 1, 1))
        spec = f'{draft}:weights="{path}",nodes=5,ngram=2'
    requests = requests_of([9, 3, 31, 17], *MIXED)
    wanted = generate(model, requests, batch_size=3)
    same_texts(generate_with(model, requests, draft=spec, batch_size=3), wanted)
    same_texts(generate_with(model, requests, draft=spec, batch_size=1), wanted)


def test_planted_way_with_other_noise(
    tiny_model: Any, requests_of: Any, same_texts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A drafted loop that counts positions from 1 draws other tokens, and is seen."""
    from burnish.engine import loop as loop_module

    model, requests = tiny_model("llama"), requests_of([9, 3], *MIXED)
    wanted, exact = generate(model, requests), loop_module.next_tokens

    def late(logits: Any, settings: Any, positions: Any, seen: Any) -> list[int]:
        return exact(logits, settings, [at + 1 for at in positions], seen)

    monkeypatch.setattr(loop_module, "next_tokens", late)
    with pytest.raises(AssertionError):
        same_texts(generate_with(model, requests, draft="ngram"), wanted)


def test_typos_are_told() -> None:
    with pytest.raises(UnknownNameError, match=r"'frip'.*Did you mean 'firp'"):
        check_draft("frip")
    with pytest.raises(BurnishError, match="nodes"):
        check_draft("firp:node=3")
    for name in ("plain", "auto", "firp:nodes=4", "ngram"):
        check_draft(name)
