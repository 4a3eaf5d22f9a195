"""Losses against transformers' own cross-entropy over each whole text."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from fixtures.tiny import ADAPTED, DECODERS, EXPERTS, texts
from fixtures.training import fresh, make_examples

from burnish.kv.shared import Forest
from burnish.models.load import Model
from burnish.train import forward as forward_module
from burnish.train.examples import Example
from burnish.train.forward import answer_logits
from burnish.train.objective import supervised

Objective = Callable[[Any, Sequence[Example]], torch.Tensor]


def reference_loss(reference: Any, example: Example) -> torch.Tensor:
    """Sum over the answer [nats], from transformers' mean with the prompt's labels ignored."""
    tokens = torch.tensor([[*example.prompt, *example.answer]])
    labels = tokens.clone()
    labels[0, : len(example.prompt)] = -100
    mean = reference(input_ids=tokens, labels=labels, use_cache=False).loss
    return mean * len(example.answer)


def with_prefix(num_tokens: int) -> list[Example]:
    """Texts that begin with the same tokens, one prompt being no more than these."""
    prefix = tuple(texts([num_tokens], seed=9)[0])
    examples = [replace(e, prompt=(*prefix, *e.prompt)) for e in make_examples(5)]
    return [*examples, replace(examples[0], prompt=prefix)]


def check_loss(objective: Objective, model: Model, reference: Any, *, prefix: int = 0) -> None:
    """With and without a common prefix: the sum over each text alone."""
    examples = with_prefix(prefix) if prefix else make_examples(5)
    with torch.no_grad():
        found = objective(model.network, examples)
        wanted = sum(reference_loss(reference, example) for example in examples)
    torch.testing.assert_close(found, wanted, atol=2e-3, rtol=1e-5)


@pytest.mark.parametrize("family", [*DECODERS, *EXPERTS, *ADAPTED])
def test_packed_loss_equals_separate(family: str, tiny_model: Any, tiny_reference: Any) -> None:
    model = tiny_model(family)
    check_loss(supervised, model, tiny_reference(family))
    check_loss(supervised, model, tiny_reference(family), prefix=9)  # longer than any window
    check_loss(supervised, model, tiny_reference(family), prefix=1)
    for examples in (make_examples(5), with_prefix(9)):
        with torch.no_grad():
            together, targets = answer_logits(model.network, examples)
            alone = torch.cat([answer_logits(model.network, [example])[0] for example in examples])
        assert targets.tolist() == [token for example in examples for token in example.answer]
        torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", ["llama", "qwen2-sliding"])
def test_gradients_through_a_common_prefix(
    family: str, tiny_folder: Any, tiny_reference: Any
) -> None:
    """Rows that are computed once are learned from by every text that begins with them."""
    model, reference, examples = fresh(tiny_folder(family)), tiny_reference(family), with_prefix(9)
    model.network.unfuse()
    named = dict(model.network.requires_grad_(True).named_parameters())
    found = torch.autograd.grad(supervised(model.network, examples), list(named.values()))
    wanted_of = dict(reference.named_parameters())
    loss = sum(reference_loss(reference, example) for example in examples)
    wanted = torch.autograd.grad(loss, [wanted_of[name] for name in named])
    for name, one, other in zip(named, found, wanted, strict=True):
        largest = float(other.abs().max())
        torch.testing.assert_close(one, other, atol=1e-4 * largest, rtol=1e-3, msg=name)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_planted_targets_one_late(family: str, tiny_model: Any, tiny_reference: Any) -> None:
    def late(network: Any, examples: Sequence[Example]) -> torch.Tensor:
        logits, targets = answer_logits(network, examples)
        return torch.nn.functional.cross_entropy(logits, targets.roll(-1), reduction="sum")

    with pytest.raises(AssertionError):
        check_loss(late, tiny_model(family), tiny_reference(family))


def test_planted_prompts_are_learned_too(tiny_model: Any, tiny_reference: Any) -> None:
    def all_tokens(network: Any, examples: Sequence[Example]) -> torch.Tensor:
        whole = [
            Example(id=e.id, prompt=e.prompt[:1], answer=(*e.prompt[1:], *e.answer))
            for e in examples
        ]
        return supervised(network, whole)

    with pytest.raises(AssertionError):
        check_loss(all_tokens, tiny_model("llama"), tiny_reference("llama"))


@pytest.mark.parametrize("prefix", [0, 9])
def test_planted_examples_see_their_neighbours(
    prefix: int, tiny_model: Any, tiny_reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def behind_the_last(self: Forest, tokens: Any, *, after: int | None = None) -> int:
        return exact(self, tokens, after=len(self.blocks) - 1 if self.blocks else after)

    exact = Forest.chain
    monkeypatch.setattr(Forest, "chain", behind_the_last)
    with pytest.raises(AssertionError):
        check_loss(supervised, tiny_model("llama"), tiny_reference("llama"), prefix=prefix)


def test_planted_prefix_one_too_long(
    tiny_model: Any, tiny_reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = forward_module._shared_prefix
    monkeypatch.setattr(forward_module, "_shared_prefix", lambda examples: exact(examples) + 1)
    with pytest.raises((AssertionError, RuntimeError, TypeError)):
        check_loss(supervised, tiny_model("llama"), tiny_reference("llama"), prefix=9)
