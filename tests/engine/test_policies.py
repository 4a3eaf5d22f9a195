"""Decoding under a KV policy against eviction token by token over transformers' weights."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from fixtures.tiny import texts
from torch import Tensor

from burnish.base.errors import BurnishError, ModelError, SettingError
from burnish.base.meter import Meter
from burnish.contracts.generation import Request, Sampling
from burnish.contracts.session import Session
from burnish.engine import policies as policies_module
from burnish.engine.generate import generate
from burnish.engine.policies import PolicySession, shape_of
from burnish.engine.session import DecoderSession
from burnish.kv.bounded import BoundedAttend, BoundedMemory
from burnish.kv.memory import open_memory
from burnish.kv.policies import kv_policies
from burnish.models.load import Model

SPEC = "window:budget_tokens=11,num_sinks=2"
MIXED = (
    Sampling(max_new_tokens=11, temperature=1.0, seed=1),
    Sampling(max_new_tokens=5),
    Sampling(max_new_tokens=14, temperature=1.2, repetition_penalty=1.3, seed=3),
)


def requests_of(prompts: Sequence[Sequence[int]], *settings: Sampling) -> list[Request]:
    return [
        Request(id=f"r{i}", prompt=tuple(prompt), sampling=settings[i % len(settings)])
        for i, prompt in enumerate(prompts)
    ]


def naive(model: Model, prompt: Sequence[int], num: int, spec: str) -> list[int]:
    """Greedy tokens; every token is read by itself, in one memory that nothing else touches."""
    memory, tokens = open_memory(kv_policies.parse(spec), shape_of(model)), list(prompt)

    def read(token: int) -> int:
        rows = model.network.hidden(torch.tensor([token]), memory.attend(1))
        memory.advance()
        return int(model.network.head(rows)[0].argmax())

    with torch.no_grad():
        (*_, following) = (read(token) for token in prompt)
        while len(tokens) < len(prompt) + num and following not in model.eos_ids:
            tokens.append(following)
            following = read(following)
    return tokens[len(prompt) :]


def check_naive(model: Model, spec: str) -> None:
    prompts = texts([7, 1, 31, 3, 24])
    requests = requests_of(prompts, *(Sampling(max_new_tokens=n) for n in (5, 2, 7)))
    found = generate(model, requests, batch_size=3, kv=spec)
    wanted = [naive(model, r.prompt, r.sampling.max_new_tokens, spec) for r in requests]
    assert [list(c.tokens) for c in found] == wanted


@pytest.mark.parametrize("family", ["llama", "mistral"])
def test_policy_equals_naive_eviction(
    family: str, tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a token sees is that of the token-by-token oracle in tests/kv/test_policies.py."""
    check_naive(tiny_model(family), SPEC)
    monkeypatch.setattr(policies_module, "CHUNK_ROWS", 7)
    check_naive(tiny_model(family), SPEC)


def check_batches(model: Model, spec: str) -> None:
    """The same text alone, in batches of any size and order, and behind a shared beginning."""
    start, *ends = texts([30, 16, 21, 33, 16, 2, 40])
    prompts = [*([*start, *end] for end in ends[:4]), *ends[4:], ends[4]]
    requests = requests_of(prompts, *MIXED)
    alone = [generate(model, [request], kv=spec)[0] for request in requests]
    for batch_size in (2, 16):
        assert generate(model, requests, batch_size=batch_size, kv=spec) == alone
    assert generate(model, requests[::-1], batch_size=3, kv=spec) == alone[::-1]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("family", ["llama-wide"])
def test_texts_do_not_depend_on_the_batch(family: str, precision: str, tiny_model: Any) -> None:
    check_batches(tiny_model(family, precision), SPEC)


def test_a_budget_that_covers_the_text_changes_nothing(tiny_model: Any) -> None:
    model, requests = tiny_model("llama"), requests_of(texts([7, 1, 19]), *MIXED)
    plain = generate(model, requests)
    assert generate(model, requests, kv="window:budget_tokens=64") == plain
    assert generate(model, requests, kv=kv_policies.parse("window:budget_tokens=64")) == plain
    narrow = generate(model, requests, kv="window:budget_tokens=4,num_sinks=1")
    assert narrow[2] != plain[2]


def test_full_is_the_same_path(tiny_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bits of `full` are those of no policy: it is the same session."""
    model, requests = tiny_model("llama", "bf16"), requests_of(texts([7, 1, 19]), *MIXED)
    plain = generate(model, requests)
    monkeypatch.delattr(PolicySession, "prefill")
    assert generate(model, requests, kv="full") == plain


def test_shared_prompts_are_prefilled_once(tiny_model: Any) -> None:
    one, two = (tuple(tokens) for tokens in texts([33, 5]))
    settings = [Sampling(max_new_tokens=4 + i, temperature=1.0, seed=i) for i in range(6)]
    requests = requests_of([one, one, two, one, one, two], *settings)
    meter, model = Meter(), tiny_model("llama")
    found = generate(model, requests, batch_size=3, meter=meter, kv=SPEC)
    assert found == [generate(model, [request], kv=SPEC)[0] for request in requests]
    assert meter.totals()["prefilled"] == len(one) + len(two)


def check_peak(model: Model, monkeypatch: pytest.MonkeyPatch, *, num_tokens: int) -> None:
    """Accounting: cells that exist at once are the budget's and a chunk's, whatever the length."""
    peaks: list[int] = []
    exact = BoundedMemory.append

    def watched(self: BoundedMemory, layer: int, key: Tensor, value: Tensor) -> Tensor:
        cells = exact(self, layer, key, value)
        held = self._cells[layer]
        assert held.untyped_storage().nbytes() == held.numel() * held.element_size()
        peaks.append(cells.shape[2])
        assert held.shape[2] <= self.budget_tokens
        return cells

    monkeypatch.setattr(BoundedMemory, "append", watched)
    monkeypatch.setattr(policies_module, "CHUNK_ROWS", 8)
    requests = requests_of(texts([num_tokens]), Sampling(max_new_tokens=3))
    assert len(generate(model, requests, kv=SPEC)[0].tokens) == 3
    assert max(peaks) == 11 + 8


@pytest.mark.parametrize("num_tokens", [64, 300])
def test_prefill_holds_the_budget_and_a_chunk(
    num_tokens: int, tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_peak(tiny_model("llama"), monkeypatch, num_tokens=num_tokens)


def test_planted_memory_that_evicts_nothing(
    tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hoard(self: BoundedMemory, layer: int, key: Tensor, value: Tensor) -> Tensor:
        new = torch.stack((key, value)).transpose(1, 2)
        self._cells[layer] = torch.cat((self._cells[layer], new), dim=2)
        return self._cells[layer]

    monkeypatch.setattr(BoundedMemory, "append", hoard)
    with pytest.raises((AssertionError, RuntimeError)):
        check_peak(tiny_model("llama"), monkeypatch, num_tokens=64)


def test_texts_beyond_the_models_window(tiny_model: Any) -> None:
    """Positions stay inside the budget, so the text may be longer than the window."""
    model = dataclasses.replace(tiny_model("llama"), max_position=20)
    requests = requests_of(texts([40]), Sampling(max_new_tokens=5))
    whole = generate(tiny_model("llama"), requests, kv=SPEC)
    assert generate(model, requests, kv=SPEC) == whole
    for kv in (None, "full", "window:budget_tokens=21"):
        with pytest.raises(SettingError, match="must fit the model's window of 20 tokens, got 40"):
            generate(model, requests, kv=kv)


def test_a_session_is_a_session(tiny_model: Any) -> None:
    session = PolicySession(tiny_model("llama"), kv_policies.parse(SPEC), 2)
    assert isinstance(session, Session)
    assert not isinstance(session, DecoderSession)


def test_refusals(tiny_model: Any) -> None:
    requests = requests_of(texts([4]), Sampling(max_new_tokens=2))
    with pytest.raises(ModelError, match="needs a model that burnish's own decoder") as error:
        generate(tiny_model("gpt2"), requests, kv=SPEC)
    assert "got 'window'" in str(error.value)
    assert generate(tiny_model("gpt2"), requests, kv="full") == generate(
        tiny_model("gpt2"), requests
    )
    with pytest.raises(BurnishError, match="Did you mean 'window'"):
        generate(tiny_model("llama"), requests, kv="windw")


def test_planted_slots_not_moved(tiny_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PolicySession, "move", lambda self, source, target: None)
    with pytest.raises((AssertionError, RuntimeError)):
        check_naive(tiny_model("llama"), SPEC)


def test_planted_copies_that_share_their_cells(
    tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot that is the memory itself grows with it."""
    monkeypatch.setattr(BoundedMemory, "fork", lambda self: self)
    with pytest.raises((AssertionError, RuntimeError)):
        test_shared_prompts_are_prefilled_once(tiny_model)


def test_planted_rows_of_a_step_in_the_wrong_memory(
    tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def turned(self: Any, parts: Any, counts: Any) -> None:
        exact(self, parts[::-1], counts)

    exact = policies_module._SideBySide.__init__
    monkeypatch.setattr(policies_module._SideBySide, "__init__", turned)
    with pytest.raises((AssertionError, RuntimeError)):
        check_naive(tiny_model("llama"), SPEC)


def test_planted_attention_that_sees_one_token_more(
    tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks that see what token-by-token eviction would have dropped."""

    def wide(self: BoundedAttend, memory: BoundedMemory, num_rows: int) -> None:
        exact(self, memory, num_rows)
        if num_rows > 1:
            self._seen = self._distance >= 0

    exact = BoundedAttend.__init__
    monkeypatch.setattr(BoundedAttend, "__init__", wide)
    with pytest.raises(AssertionError):
        check_naive(tiny_model("llama"), SPEC)


RETRIEVING = "triangle-dp:far_tokens=12,local_tokens=8,num_sinks=2,most_tokens=6,least_tokens=2"


def test_retrieving_policies_do_not_depend_on_the_batch(tiny_model: Any) -> None:
    model = tiny_model("llama")
    requests = requests_of(texts([60, 16, 60, 33]), *MIXED)
    alone = [generate(model, [request], kv=RETRIEVING)[0] for request in requests]
    assert generate(model, requests, batch_size=3, kv=RETRIEVING) == alone
    assert alone != generate(model, requests)


def test_retrieving_texts_beyond_the_models_window(tiny_model: Any) -> None:
    model = dataclasses.replace(tiny_model("llama"), max_position=20)
    requests = requests_of(texts([40]), Sampling(max_new_tokens=5))
    assert len(generate(model, requests, kv=RETRIEVING)[0].tokens) == 5
    for kv in ("int8", f"{RETRIEVING},positions=true"):
        with pytest.raises(SettingError, match="must fit the model's window of 20 tokens"):
            generate(model, requests, kv=kv)


def check_surprise(model: Model, reference: Any, surprises: Any) -> None:
    (tokens,) = texts([9])
    with torch.no_grad():
        logits = reference(torch.tensor([tokens])).logits[0]
        hidden = policies_module.read_rows(
            model.network, [open_memory(kv_policies.parse("full"), shape_of(model))], [tokens]
        )
        found = surprises(model.network, hidden, tokens)
    wanted = -logits.log_softmax(-1)[torch.arange(8), torch.tensor(tokens[1:])]
    assert found[0] != found[0]  # unknown
    torch.testing.assert_close(torch.tensor(found[1:]).float(), wanted, atol=1e-4, rtol=1e-4)


def test_surprise_is_that_of_transformers(
    tiny_model: Any, tiny_reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies_module, "SURPRISE_ROWS", 3)
    check_surprise(tiny_model("llama"), tiny_reference("llama"), policies_module._surprises)
    spec = "surprise:far_tokens=12,local_tokens=8,most_tokens=6,least_tokens=2"
    requests = requests_of(texts([60]), Sampling(max_new_tokens=5))
    assert len(generate(tiny_model("llama"), requests, kv=spec)[0].tokens) == 5


def test_planted_surprise_of_the_token_before(tiny_model: Any, tiny_reference: Any) -> None:
    def early(decoder: Any, hidden: Tensor, tokens: Sequence[int]) -> Any:
        return policies_module._surprises(decoder, hidden, [*tokens[1:], tokens[0]])

    with pytest.raises(AssertionError):
        check_surprise(tiny_model("llama"), tiny_reference("llama"), early)
