"""Scores against transformers' logits of each whole text."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from fixtures.tiny import ADAPTED, DECODERS, reference_logits, texts

from burnish.base.errors import SettingError
from burnish.base.meter import Meter
from burnish.contracts.generation import Scored, ScoreRequest
from burnish.engine import score as score_module
from burnish.engine.score import score
from burnish.kv.shared import Forest
from burnish.models import head as head_module
from burnish.models.load import Model

Score = Callable[..., list[Scored]]


def requests() -> list[ScoreRequest]:
    """Three prompts, each with several completions, one of them a single token, out of order."""
    one, two, three = (tuple(tokens) for tokens in texts([13, 1, 30]))
    completions = [tuple(tokens) for tokens in texts([4, 1, 9, 2, 1, 6, 17], seed=8)]
    prompts = [one, two, one, three, one, two, three]
    pairs = zip(prompts, completions, strict=True)
    return [ScoreRequest(id=f"s{i}", prompt=p, completion=c) for i, (p, c) in enumerate(pairs)]


def wanted(reference: Any, request: ScoreRequest) -> torch.Tensor:
    tokens = [*request.prompt, *request.completion]
    logprobs = reference_logits(reference, tokens).double().log_softmax(-1)
    start = len(request.prompt)
    return torch.stack([logprobs[t - 1, tokens[t]] for t in range(start, len(tokens))])


def check_scores(score_texts: Score, model: Model, reference: Any, **settings: Any) -> None:
    asked = requests()
    found = score_texts(model, asked, **settings)
    assert [scored.id for scored in found] == [request.id for request in asked]
    for scored, request in zip(found, asked, strict=True):
        logprobs = torch.tensor(scored.logprobs, dtype=torch.double)
        torch.testing.assert_close(logprobs, wanted(reference, request), atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("family", [*DECODERS, *ADAPTED])
def test_scores_equal_full_logits(family: str, tiny_model: Any, tiny_reference: Any) -> None:
    check_scores(score, tiny_model(family), tiny_reference(family))


@pytest.mark.parametrize("batch_rows", [1, 14, 20, 45])
def test_passes_of_any_size_agree(batch_rows: int, tiny_model: Any, tiny_reference: Any) -> None:
    check_scores(score, tiny_model("mistral"), tiny_reference("mistral"), batch_rows=batch_rows)


def test_head_in_pieces_agrees(
    tiny_model: Any, tiny_reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = functools.partial(head_module.logprobs_at, block_rows=3)
    monkeypatch.setattr(score_module, "logprobs_at", pieces)
    check_scores(score, tiny_model("llama"), tiny_reference("llama"))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_shared_equals_separate(precision: str, tiny_model: Any) -> None:
    """Alone and among others: in bf16 the same bits, since every kernel sees the same rows."""
    model = tiny_model("llama-biased", precision)
    together = score(model, requests())
    alone = [score(model, [request])[0] for request in requests()]
    if precision == "bf16":
        assert together == alone
    for one, other in zip(together, alone, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)


def test_planted_rows_one_late(
    tiny_model: Any, tiny_reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(self: Forest, completion: Any, *, after: int) -> list[int]:
        return [max(row - 1, 0) for row in exact(self, completion, after=after)]

    exact = Forest.branch
    monkeypatch.setattr(Forest, "branch", late)
    with pytest.raises(AssertionError):
        check_scores(score, tiny_model("llama"), tiny_reference("llama"))


def test_planted_first_token_from_the_prompts_first_row(
    tiny_model: Any, tiny_reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def first(self: Forest, completion: Any, *, after: int) -> list[int]:
        return [self.rows(after)[0], *exact(self, completion, after=after)[1:]]

    exact = Forest.branch
    monkeypatch.setattr(Forest, "branch", first)
    with pytest.raises(AssertionError):
        check_scores(score, tiny_model("llama"), tiny_reference("llama"))


def test_planted_completions_see_their_siblings(
    tiny_model: Any, tiny_reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def behind_the_sibling(self: Forest, tokens: Any, *, after: int | None = None) -> int:
        last = len(self.blocks) - 1
        sibling = after is not None and self.blocks[last].after == after
        return exact(self, tokens, after=last if sibling else after)

    exact = Forest.chain
    monkeypatch.setattr(Forest, "chain", behind_the_sibling)
    with pytest.raises(AssertionError):
        check_scores(score, tiny_model("llama"), tiny_reference("llama"))


def test_accounting(tiny_model: Any) -> None:
    """Each prompt once a pass, each completion token once."""
    meter = Meter("s")
    score(tiny_model("llama"), requests(), meter=meter)
    totals = meter.totals()
    assert totals["prefilled"] == 13 + 1 + 30
    assert totals["scored"] == 4 + 1 + 9 + 2 + 1 + 6 + 17
    assert totals["passes"] == 1
    apart = Meter("s")
    score(tiny_model("gpt2"), requests(), meter=apart)
    assert apart.totals()["prefilled"] == 3 * 13 + 2 * 1 + 2 * 30
    assert apart.totals()["scored"] == totals["scored"]
    assert apart.totals()["passes"] == 7


def continued(num: int = 5) -> list[ScoreRequest]:
    """Prompts that each continue the one before, two completions each, and one of another kind."""
    (whole, other) = (tuple(tokens) for tokens in texts([37, 11]))
    prompts = [whole[: 5 + 6 * i] for i in range(num)] + [whole[:9] + other, other]
    return [
        ScoreRequest(id=f"{i}{c}", prompt=prompt, completion=tuple(tokens))
        for i, prompt in enumerate(prompts)
        for c, tokens in enumerate(texts([1, 3], seed=i))
    ]


def check_shared_beginnings(model: Model, batch_rows: int) -> None:
    meter, asked = Meter("s"), continued()
    found = score(model, asked, batch_rows=batch_rows, meter=meter, share=True)
    apart = [score(model, [request])[0] for request in asked]
    for one, other in zip(found, apart, strict=True):
        assert one.id == other.id and one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
    if batch_rows > 200:
        assert meter.totals()["prefilled"] == 29 + 11 + 11 and meter.totals()["passes"] == 1


@pytest.mark.parametrize("batch_rows", [1, 30, 45, 2048])
def test_shared_beginnings_are_computed_once(batch_rows: int, tiny_model: Any) -> None:
    check_shared_beginnings(tiny_model("llama"), batch_rows)


def test_planted_first_tokens_alone_shared(
    tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_module, "common_length", lambda one, other: 1)
    with pytest.raises(AssertionError):
        check_shared_beginnings(tiny_model("llama"), 2048)


def test_passes_hold_no_more_rows_than_asked(
    tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[list[Any]] = []

    def watched(groups: Any, batch_rows: int, **given: Any) -> Any:
        for some in exact(groups, batch_rows, **given):
            passes.append(some)
            yield some

    exact = score_module.fill_passes
    monkeypatch.setattr(score_module, "fill_passes", watched)
    score(tiny_model("llama"), requests(), batch_rows=24)
    for some in passes:
        single = len(some) == 1 and len(some[0].members) == 1
        assert single or sum(group.num_rows for group in some) <= 24
    assert sum(len(group.members) for some in passes for group in some) == 7


def test_requests_that_cannot_be_scored(tiny_model: Any) -> None:
    def asked(prompt: Sequence[int], completion: Sequence[int]) -> list[ScoreRequest]:
        return [ScoreRequest(id="a", prompt=tuple(prompt), completion=tuple(completion))]

    model = dataclasses.replace(tiny_model("llama"), max_position=10)
    with pytest.raises(SettingError, match="prompt must not be empty, got 'a'"):
        score(model, asked([], [5]))
    with pytest.raises(SettingError, match="completion must not be empty, got 'a'"):
        score(model, asked([5], []))
    with pytest.raises(SettingError, match="window of 10 tokens, got 11"):
        score(model, asked([5] * 8, [5] * 3))
    with pytest.raises(SettingError, match="batch_rows"):
        score(model, asked([5], [5]), batch_rows=0)
    assert len(score(model, asked([5] * 8, [5] * 2))[0].logprobs) == 2
    assert score(model, []) == []


@pytest.mark.weights
def test_smollm2_scores_equal_transformers(smollm2: Any, smollm2_reference: Any) -> None:
    encode = smollm2.tokenizer.encode
    prompt = tuple(encode("Question: what is 7 times 8?\nAnswer:"))
    answers = [" 56", " 54", " The answer is 56.", " I do not know, ask me later."]
    asked = [ScoreRequest(id=a, prompt=prompt, completion=tuple(encode(a))) for a in answers]
    for scored, request in zip(score(smollm2, asked), asked, strict=True):
        logprobs = torch.tensor(scored.logprobs, dtype=torch.double)
        torch.testing.assert_close(
            logprobs, wanted(smollm2_reference, request), atol=1e-4, rtol=1e-4
        )


def check_prompt_logprobs(model: Model, reference: Any) -> None:
    (tokens,) = texts([23])
    found = score_module.prompt_logprobs(model, tokens, 2)
    exact = reference_logits(reference, tokens).log_softmax(-1)
    by_hand = [float(exact[i, token]) for i, token in enumerate(tokens[1:])]
    assert [one.logprob for one in found] == pytest.approx(by_hand, abs=1e-4)
    for one, row in zip(found, exact, strict=False):
        top = [value for _, value in one.top]
        assert top == pytest.approx(row.topk(2).values.tolist(), abs=1e-4)
    assert score_module.prompt_logprobs(model, tokens[:1], 2) == []
    with pytest.raises(SettingError, match="must fit"):
        score_module.prompt_logprobs(dataclasses.replace(model, max_position=22), tokens, 2)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_prompt_logprobs_equal_full_logits(
    family: str, tiny_model: Any, tiny_reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_module, "HEAD_ROWS", 5)  # several pieces
    check_prompt_logprobs(tiny_model(family), tiny_reference(family))


def test_planted_logprobs_of_another_token(
    tiny_model: Any, tiny_reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = score_module.top_logprobs
    monkeypatch.setattr(
        score_module, "top_logprobs", lambda row, token, num: exact(row, token ^ 1, num)
    )
    with pytest.raises(AssertionError):
        check_prompt_logprobs(tiny_model("llama"), tiny_reference("llama"))
