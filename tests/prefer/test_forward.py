"""Log-probabilities of pairs against transformers' own logits of each whole text."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from fixtures.tiny import ADAPTED, DECODERS, EXPERTS
from fixtures.training import fresh

from burnish.kv.shared import Forest
from burnish.prefer import forward as forward_module
from burnish.prefer.forward import answer_logprobs
from burnish.prefer.pairs import Pair

Forward = Callable[..., torch.Tensor]


def reference_logprobs(reference: Any, pairs: Sequence[Pair]) -> torch.Tensor:
    """Each answer after its prompt, one text at a time."""
    found = []
    for pair in pairs:
        for answer in (pair.chosen, pair.rejected):
            text = torch.tensor([[*pair.prompt, *answer]])
            logits = reference(input_ids=text, use_cache=False).logits[0]
            rows = logits[len(pair.prompt) - 1 : -1].log_softmax(-1)
            found.append(rows[torch.arange(len(answer)), list(answer)])
    return torch.cat(found)


def check_forward(forward: Forward, network: Any, reference: Any, pairs: list[Pair]) -> None:
    with torch.no_grad():
        found, wanted = forward(network, pairs), reference_logprobs(reference, pairs)
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("family", [*DECODERS, *EXPERTS, *ADAPTED])
def test_shared_prompt_equals_apart(
    family: str, tiny_model: Any, tiny_reference: Any, pairs: list[Pair]
) -> None:
    check_forward(answer_logprobs, tiny_model(family).network, tiny_reference(family), pairs)


@pytest.mark.parametrize("family", ["llama", "mistral"])
def test_packed_equals_split(family: str, tiny_model: Any, pairs: list[Pair]) -> None:
    """Alone, in any order, or together: a pair's numbers are its own."""
    network = tiny_model(family).network
    with torch.no_grad():
        whole = answer_logprobs(network, pairs)
        alone = torch.cat([answer_logprobs(network, [pair]) for pair in pairs])
        turned = answer_logprobs(network, pairs[::-1])
    torch.testing.assert_close(whole, alone, atol=1e-4, rtol=1e-4)
    parts = turned.split([pair.num_answer_tokens for pair in pairs[::-1]])
    torch.testing.assert_close(whole, torch.cat(parts[::-1]), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", ["llama", "qwen2-sliding"])
def test_gradients_through_the_shared_prompt(
    family: str, tiny_folder: Any, tiny_reference: Any, pairs: list[Pair]
) -> None:
    network, reference = fresh(tiny_folder(family)).network, tiny_reference(family)
    network.unfuse()
    named = dict(network.requires_grad_(True).named_parameters())
    source = torch.Generator().manual_seed(2)
    upstream = torch.randn(sum(p.num_answer_tokens for p in pairs), generator=source)
    found = torch.autograd.grad(answer_logprobs(network, pairs), list(named.values()), upstream)
    wanted_of = dict(reference.named_parameters())
    out = reference_logprobs(reference, pairs)
    wanted = torch.autograd.grad(out, [wanted_of[name] for name in named], upstream)
    for name, one, other in zip(named, found, wanted, strict=True):
        largest = float(other.abs().max())
        torch.testing.assert_close(one, other, atol=2e-4 * largest, rtol=1e-3, msg=name)


def test_rows_are_the_prompt_once_and_the_answers_but_their_last_token(
    tiny_model: Any, pairs: list[Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accounting: what the layers and the head compute."""
    network, sizes = tiny_model("llama").network, []
    exact, head = network.hidden, forward_module.token_logprobs

    def counted(tokens: torch.Tensor, attend: Any, **given: Any) -> torch.Tensor:
        sizes.append(len(tokens))
        return exact(tokens, attend, **given)

    def watched(hidden: torch.Tensor, *given: Any) -> torch.Tensor:
        sizes.append(len(hidden))
        return head(hidden, *given)

    monkeypatch.setattr(network, "hidden", counted)
    monkeypatch.setattr(forward_module, "token_logprobs", watched)
    with torch.no_grad():
        answer_logprobs(network, pairs)
    answers = sum(len(pair.chosen) + len(pair.rejected) for pair in pairs)
    prompts = sum(len(pair.prompt) for pair in pairs)
    assert sizes == [prompts + answers - 2 * len(pairs), answers]
    assert sizes[0] == sum(map(len, pairs))


def test_planted_answers_one_late(
    tiny_model: Any, tiny_reference: Any, pairs: list[Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(self: Forest, completion: Any, *, after: int) -> list[int]:
        return [max(row - 1, 0) for row in exact(self, completion, after=after)]

    exact = Forest.branch
    monkeypatch.setattr(Forest, "branch", late)
    with pytest.raises(AssertionError):
        check_forward(answer_logprobs, tiny_model("llama").network, tiny_reference("llama"), pairs)


def test_planted_rejected_sees_chosen(
    tiny_model: Any, tiny_reference: Any, pairs: list[Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    def behind_the_sibling(self: Forest, tokens: Any, *, after: int | None = None) -> int:
        last = len(self.blocks) - 1
        sibling = after is not None and self.blocks[last].after == after
        return exact(self, tokens, after=last if sibling else after)

    exact = Forest.chain
    monkeypatch.setattr(Forest, "chain", behind_the_sibling)
    with pytest.raises(AssertionError):
        check_forward(answer_logprobs, tiny_model("llama").network, tiny_reference("llama"), pairs)
