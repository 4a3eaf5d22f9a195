"""SmolLM2's real weights: drafted texts are the plain ones, token for token, in every format."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from burnish.contracts.generation import Completion, Request, Sampling
from burnish.draft.bench_cells import requests_for, stratified
from burnish.draft.loop import generate_drafted
from burnish.engine.generate import generate
from burnish.models.load import Model, load_model

SPEC_BENCH = Path(__file__).resolve().parents[3] / "shared/data/spec-bench/question.jsonl"
SHORT = bool(os.environ.get("CI"))  # all of it takes half an hour
NEW_TOKENS = 24 if SHORT else 64
MOST_PROMPT_TOKENS = 300  # reading long prompts in 8 bits takes longer than the decoding
GREEDY = Sampling(max_new_tokens=NEW_TOKENS)
SAMPLED = Sampling(max_new_tokens=NEW_TOKENS, temperature=0.8, top_p=0.95)
BATCHES = {"firp": 1, "ngram": 5, "firp:ngram=6": 4}  # a text does not depend on its batch
# Drafted tokens per pass, at least. What a lookup finds is a matter of the text: in one drawn at
# random it may be little, but never nothing. Maps of zero accept 0.05 (docs/papers/firp.md).
ACCEPTED = {"firp": 0.3, "ngram": 0.0, "firp:ngram=6": 0.3}

OWN = (  # where Spec-Bench is not at hand, and in the continuous integration
    "Name three rivers in Europe.",
    "Write a haiku about snow.",
    "What is 17 times 23? Think step by step.",
    "Translate 'good morning, my friend' into French and Spanish.",
    "Summarise in one sentence: the cat sat on the mat, because the mat was warm and dry.",
    "Explain to a child why the sky is blue.",
    "List the first five prime numbers, then the first five even numbers.",
    "Write a Python function that reverses a string, and a test for it.",
)
pytestmark = pytest.mark.weights


@pytest.fixture(scope="module", params=["bf16", "int8", "int4"])
def model(request: Any) -> Model:
    """SmolLM2-135M in one number format."""
    return load_model("smollm2-135m", precision=request.param, device="cpu")


def requests_of(model: Model, sampling: Sampling, num: int) -> list[Request]:
    """Short Spec-Bench prompts, about equal shares of its tasks, or ours; each has its own seed."""
    many = SPEC_BENCH.is_file() and not SHORT
    prompts = stratified(SPEC_BENCH, 4 * num) if many else OWN
    found = requests_for(model, prompts, sampling)
    short = [one for one in found if len(one.prompt) <= MOST_PROMPT_TOKENS][:num]
    assert len(short) >= min(num, len(OWN))
    return [
        dataclasses.replace(one, sampling=dataclasses.replace(sampling, seed=seed))
        for seed, one in enumerate(short)
    ]


def differences(found: Sequence[Completion], wanted: Sequence[Completion]) -> list[str]:
    """Where texts part: the prompt, and the place of the first token that differs."""
    parted = []
    for one, plain in zip(found, wanted, strict=True):
        a, b = list(one.tokens), list(plain.tokens)
        if (a, one.text, one.finish) != (b, plain.text, plain.finish):
            at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), -1)
            parted.append(f"{one.id} at {at}: {a[at : at + 3]} for {b[at : at + 3]}")
    return parted


@pytest.mark.timeout(1500)
@pytest.mark.parametrize(("sampling", "num"), [(GREEDY, 20), (SAMPLED, 8)])
def test_drafted_equals_plain_on_real_weights(model: Model, sampling: Sampling, num: int) -> None:
    requests = requests_of(model, sampling, num)
    wanted = generate(model, requests, batch_size=4)
    for spec, batch_size in BATCHES.items():
        found = generate_drafted(model, requests, drafter=spec, batch_size=batch_size)
        assert differences(found, wanted) == [], spec
        num_passes = sum(one.num_passes for one in found)
        accepted = sum(len(one.tokens) for one in found) - num_passes  # a plain pass gives one
        assert accepted > ACCEPTED[spec] * num_passes, f"{spec} drafts next to nothing"


def test_plain_alone_equals_plain_in_a_batch(model: Model) -> None:
    requests = requests_of(model, GREEDY, 4)
    alone = [generate(model, [request], batch_size=1)[0] for request in requests]
    assert differences(alone, generate(model, requests, batch_size=4)) == []


def test_planted_noise_of_another_seed(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop whose noise depends on the number of passes is seen on the first prompts."""
    from burnish.draft.loop import DraftedLoop

    exact = DraftedLoop.draw

    def restless(self: Any, rows: Any, logits: Any) -> Any:
        for row in rows:
            sampling = dataclasses.replace(row.request.sampling, seed=row.num_passes)
            row.request = dataclasses.replace(row.request, sampling=sampling)
        return exact(self, rows, logits)

    requests = requests_of(model, SAMPLED, 2)
    wanted = generate(model, requests)
    monkeypatch.setattr(DraftedLoop, "draw", restless)
    assert differences(generate_drafted(model, requests, drafter="ngram"), wanted) != []
