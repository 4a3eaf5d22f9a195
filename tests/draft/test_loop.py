"""Drafted texts are the plain ones, whatever the drafter; and every pass is accounted for."""

import collections
import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from fixtures.tiny import packed_logits

from burnish.base.errors import BurnishError, ModelError, SettingError
from burnish.base.meter import Meter
from burnish.contracts.drafter import Anchor, Draft
from burnish.contracts.generation import Request, Sampling
from burnish.draft import drafters
from burnish.draft.loop import DraftedLoop, generate_drafted
from burnish.engine.generate import generate

MIXED = (
    Sampling(max_new_tokens=11, temperature=1.0, seed=1),
    Sampling(max_new_tokens=5),
    Sampling(max_new_tokens=8, temperature=0.8, top_k=40, top_p=0.9, seed=2),
    Sampling(max_new_tokens=14, temperature=1.2, repetition_penalty=1.3, seed=3),
    Sampling(max_new_tokens=9, temperature=1.0, min_p=0.02, seed=4),
    Sampling(max_new_tokens=23, repetition_penalty=1.1),
)
SPECS = [
    "constant", "constant:token=40,num=5", "ngram", "ngram:tokens=7,max_match=2,min_match=1",
    "firp:nodes=3", "firp:nodes=6,offsets=0", "firp:nodes=5,offsets=0,ngram=3",
    "firp:nodes=7,offsets=2,passes=two",
    "firp:nodes=1", "medusa:nodes=5", "medusa:nodes=4,ngram=2",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Scripted:
    """Knows the true continuations, and drafts them in a tree with wrong siblings first."""

    texts: dict[tuple[int, ...], list[int]]
    num: int = 3
    wrong: bool = True
    riders = None

    @property
    def num_nodes(self) -> int:
        """Most nodes."""
        return 1 + 2 * self.num

    def begin(self, model: Any) -> "Scripted":
        """Ready."""
        return self

    def propose(self, anchors: Sequence[Anchor]) -> list[Draft]:
        """The next true tokens, a wrong sibling before each."""
        found = []
        for anchor in anchors:
            tokens = tuple(anchor.tokens)
            prompt = next(p for p in self.texts if tokens[: len(p)] == p)
            ahead = self.texts[prompt][len(tokens) - len(prompt) :][: self.num]
            draft, parents, at = [tokens[-1]], [-1], 0
            for token in ahead:
                if self.wrong:
                    draft.append(3 if token != 3 else 4)
                    parents.append(at)
                draft.append(token)
                parents.append(at)
                at = len(draft) - 1
            found.append(Draft(tokens=tuple(draft), parents=tuple(parents)))
        return found


def spec_of(spec: str, model: Any, weights_of: Any, **settings: Any) -> str:
    """The spec with the path of random weights of its kind."""
    name, _, rest = spec.partition(":")
    if name not in ("firp", "medusa"):
        return spec
    path = weights_of(model, kind=name, **settings)
    return f'{name}:weights="{path}",{rest}'


def check_same(model: Any, drafter: Any, requests_of: Any, same_texts: Any) -> None:
    for lengths, batch_size in (([7, 1, 40, 3, 16, 17, 2], 3), ([7, 7], 1)):
        requests = requests_of(lengths, *MIXED)
        wanted = generate(model, requests, batch_size=batch_size)
        found = generate_drafted(model, requests, drafter=drafter, batch_size=batch_size)
        same_texts(found, wanted)


@pytest.mark.parametrize("spec", SPECS)
def test_drafted_equals_plain(
    spec: str, tiny_model: Any, weights_of: Any, requests_of: Any, same_texts: Any
) -> None:
    model = tiny_model("llama")
    check_same(model, spec_of(spec, model, weights_of), requests_of, same_texts)


@pytest.mark.parametrize("family", ["llama-biased", "mistral", "qwen2-sliding", "qwen3"])
def test_every_family(
    family: str, tiny_model: Any, weights_of: Any, requests_of: Any, same_texts: Any
) -> None:
    model = tiny_model(family)
    spec = spec_of("firp:nodes=5,offsets=0,ngram=2", model, weights_of)
    check_same(model, spec, requests_of, same_texts)


@pytest.mark.parametrize(
    "spec", ["firp:nodes=6,offsets=0,ngram=3", "firp:nodes=6,offsets=0,passes=two"]
)
def test_bf16(
    spec: str, tiny_model: Any, weights_of: Any, requests_of: Any, same_texts: Any
) -> None:
    model = tiny_model("llama-wide", "bf16")
    spec = spec_of(spec, model, weights_of, entries=(1, 1, 1))
    check_same(model, spec, requests_of, same_texts)


def test_maps_that_know_the_next_token(
    tiny_model: Any, weights_of: Any, requests_of: Any, same_texts: Any
) -> None:
    model = tiny_model("llama")
    path = weights_of(model, kind="firp", knows_next=True)
    check_same(
        model, f'firp:weights="{path}",nodes=4,offsets=0,passes=two', requests_of, same_texts
    )
    with pytest.raises(SettingError, match=r"firp\.passes must be two"):
        generate_drafted(model, requests_of([3], *MIXED), drafter=f'firp:weights="{path}"')


@pytest.mark.parametrize("num", [1, 2, 3, 5])
@pytest.mark.parametrize("max_new_tokens", [1, 2, 3, 4, 5, 7, 11, 13])
def test_accepted_runs_end_where_plain_texts_end(
    num: int, max_new_tokens: int, tiny_model: Any, requests_of: Any, same_texts: Any
) -> None:
    """A perfect drafter: limits, end tokens and stops inside accepted runs, at every residue."""
    model = tiny_model("llama")
    limit = Sampling(max_new_tokens=max_new_tokens)
    requests = requests_of([5, 9, 2], limit)
    truth = generate(model, requests_of([5, 9, 2], Sampling(max_new_tokens=20)))
    known = {r.prompt: list(c.tokens) for r, c in zip(requests, truth, strict=True)}
    drafter = Scripted(texts=known, num=num)
    found = generate_drafted(model, requests, drafter=drafter, batch_size=2)
    same_texts(found, generate(model, requests))
    for one in found:  # the prefill gives a token, and each pass num + 1 more
        emitted = len(one.tokens) + (one.finish == "eos")
        assert one.num_passes == 1 + -(-(emitted - 1) // (num + 1))
    third = known[requests[0].prompt][min(3, max_new_tokens)]
    ending = dataclasses.replace(model, eos_ids=frozenset({third}))
    same_texts(generate_drafted(ending, requests, drafter=drafter), generate(ending, requests))
    word = model.tokenizer.decode([third])
    if word:
        stop = requests_of([5, 9, 2], Sampling(max_new_tokens=max_new_tokens, stop=(word,)))
        same_texts(generate_drafted(model, stop, drafter=drafter), generate(model, stop))


def test_accounting(tiny_model: Any, weights_of: Any, requests_of: Any) -> None:
    """Emitted = accepted + one bonus a pass; passes and tokens are counted once."""
    model = tiny_model("llama")
    endless = dataclasses.replace(model, eos_ids=frozenset())
    requests = requests_of([5, 9, 2], Sampling(max_new_tokens=17))
    truth = generate(endless, requests)
    known = {r.prompt: list(c.tokens) for r, c in zip(requests, truth, strict=True)}
    meter = Meter()
    found = generate_drafted(
        endless, requests, drafter=Scripted(texts=known), batch_size=1, meter=meter
    )
    totals = meter.totals()
    assert totals["generated"] == sum(len(c.tokens) for c in found) == 3 * 17
    assert totals["passes"] == sum(c.num_passes for c in found) == 3 * (1 + 4)
    assert totals["prefilled"] == 5 + 9 + 2


def test_finished_texts_are_told_at_once(tiny_model: Any, requests_of: Any) -> None:
    seen: list[str] = []
    requests = requests_of([5, 9, 2, 8], Sampling(max_new_tokens=9), Sampling(max_new_tokens=2))
    found = generate_drafted(
        tiny_model("llama"), requests, drafter="constant", batch_size=2,
        on_done=lambda one: seen.append(one.id),
    )  # fmt: skip
    assert sorted(seen) == [one.id for one in found]
    assert seen[0] == "r1"


def spoil_follow(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    """Let the loop see drafts through `change` while it follows them."""
    exact = DraftedLoop._follow

    def spoilt(self: Any, drafts: Sequence[Draft], passed: Any) -> Any:
        return exact(self, [change(draft) for draft in drafts], passed)

    monkeypatch.setattr(DraftedLoop, "_follow", spoilt)


def test_planted_acceptance_of_a_sibling(
    tiny_model: Any, requests_of: Any, same_texts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token is right, but the pass goes on from the wrong node."""
    model = tiny_model("llama")
    requests = requests_of([5, 9, 2], Sampling(max_new_tokens=12))
    truth = generate(model, requests)
    known = {r.prompt: list(c.tokens) for r, c in zip(requests, truth, strict=True)}

    def swapped(draft: Draft) -> Draft:
        if len(draft.tokens) < 3:
            return draft
        tokens = (draft.tokens[0], draft.tokens[2], draft.tokens[1], *draft.tokens[3:])
        return Draft(tokens=tokens, parents=draft.parents)

    spoil_follow(monkeypatch, swapped)
    with pytest.raises(AssertionError):
        found = generate_drafted(model, requests, drafter=Scripted(texts=known))
        same_texts(found, truth)


def check_distribution(drafted: Any, model: Any) -> None:
    """Frequencies of three-token strings against their exact probabilities, by chi-square."""
    from scipy.stats import chisquare

    allowed, prompt, num = 5, (9, 5, 70), 1500
    sampling = {"max_new_tokens": 3, "temperature": 1.0, "top_k": allowed}
    requests = [
        Request(id=str(i), prompt=prompt, sampling=Sampling(seed=i, **sampling)) for i in range(num)
    ]
    found = collections.Counter(tuple(c.tokens) for c in drafted(model, requests))
    wanted: dict[tuple[int, ...], float] = {(): 1.0}
    for _ in range(3):
        strings = list(wanted)
        logits = packed_logits(model.network, [[*prompt, *string] for string in strings])
        longer = {}
        for string, rows in zip(strings, logits, strict=True):
            values, tokens = rows[-1].topk(allowed)
            for token, p in zip(tokens.tolist(), values.softmax(-1).tolist(), strict=True):
                longer[(*string, token)] = wanted[string] * p
        wanted = longer
    assert set(found) <= set(wanted)
    common = [string for string, p in wanted.items() if p * num >= 5]
    rest = 1 - sum(wanted[string] for string in common)
    counts = [found[string] for string in common]
    counts.append(num - sum(counts))
    expected = [*(wanted[string] * num for string in common), rest * num]
    assert chisquare(counts, expected).pvalue > 1e-4


def endless(model: Any) -> Any:
    return dataclasses.replace(model, eos_ids=frozenset())


def test_sampled_strings_have_their_probabilities(tiny_model: Any) -> None:
    likely = [70, 9, 5, 40]

    @dataclass(frozen=True, kw_only=True)
    class Wide(Scripted):
        def propose(self, anchors: Sequence[Anchor]) -> list[Draft]:
            return [
                Draft(tokens=(a.tokens[-1], *likely, 70, 9), parents=(-1, 0, 0, 0, 0, 1, 1))
                for a in anchors
            ]

    def drafted(model: Any, requests: Any) -> Any:
        return generate_drafted(model, requests, drafter=Wide(texts={}), batch_size=64)

    check_distribution(drafted, endless(tiny_model("llama")))


def test_planted_drafts_taken_when_likely(tiny_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taking the first child instead of the drawn token shifts the frequencies."""
    from burnish.engine import loop as loop_module

    exact, turn = loop_module.next_tokens, itertools.count()

    def biased(logits: torch.Tensor, *args: Any) -> list[int]:
        drawn = exact(logits, *args)
        likely = logits.argmax(-1).tolist()
        return [a if next(turn) % 4 == 0 else b for a, b in zip(likely, drawn, strict=True)]

    monkeypatch.setattr(loop_module, "next_tokens", biased)
    with pytest.raises(AssertionError):
        check_distribution(
            lambda model, requests: generate_drafted(model, requests, drafter="constant"),
            endless(tiny_model("llama")),
        )


def test_refusals(tiny_model: Any, requests_of: Any) -> None:
    model, requests = tiny_model("llama"), requests_of([3], *MIXED)
    with pytest.raises(BurnishError, match=r"drafter is not registered, got 'ngrm'.*'ngram'"):
        generate_drafted(model, requests, drafter="ngrm")
    with pytest.raises(
        ModelError, match=r"has no firp weights in the package.*burnish draft train"
    ):
        generate_drafted(model, requests, drafter="firp")
    with pytest.raises(ModelError, match="cannot be decoded with drafts"):
        generate_drafted(tiny_model("gpt2"), requests, drafter="ngram")
    with pytest.raises(SettingError, match="nodes must be at least 1, got 0"):
        drafters.parse("firp:nodes=0")
    with pytest.raises(SettingError, match="prompt must not be empty"):
        empty = [dataclasses.replace(requests[0], prompt=())]
        generate_drafted(model, empty, drafter="ngram")
    assert generate_drafted(model, [], drafter="ngram") == []
    assert drafters.names() == ["constant", "firp", "first_order", "medusa", "ngram"]
