"""Losses against transformers' own cross-entropy over each whole text."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from fixtures.tiny import ADAPTED, DECODERS
from fixtures.training import make_examples

from burnish.kv.packed import PackedAttend
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


def check_loss(objective: Objective, model: Model, reference: Any) -> None:
    examples = make_examples(5)
    with torch.no_grad():
        found = objective(model.network, examples)
        wanted = sum(reference_loss(reference, example) for example in examples)
    torch.testing.assert_close(found, wanted, atol=2e-3, rtol=1e-5)


@pytest.mark.parametrize("family", [*DECODERS, *ADAPTED])
def test_packed_loss_equals_separate(family: str, tiny_model: Any, tiny_reference: Any) -> None:
    model = tiny_model(family)
    check_loss(supervised, model, tiny_reference(family))
    examples = make_examples(5)
    with torch.no_grad():
        together, targets = answer_logits(model.network, examples)
        alone = torch.cat([answer_logits(model.network, [example])[0] for example in examples])
    assert targets.tolist() == [token for example in examples for token in example.answer]
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


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


def test_planted_examples_see_their_neighbours(
    tiny_model: Any, tiny_reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Joined(PackedAttend):
        def __init__(self, lengths: Sequence[int], rope: Any, windows: Any) -> None:
            super().__init__([sum(lengths)], rope, windows)

    monkeypatch.setattr(forward_module, "PackedAttend", Joined)
    with pytest.raises(AssertionError):
        check_loss(supervised, tiny_model("llama"), tiny_reference("llama"))
