"""Logits of the rows that are learned from, for either kind of network."""

import itertools
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from burnish.kv.shared import Forest
from burnish.models.adapters import Adapter
from burnish.models.decoder import Decoder
from burnish.train.examples import Example


def answer_logits(
    network: Decoder | Adapter, examples: Sequence[Example]
) -> tuple[Float[Tensor, "R V"], Int[Tensor, " R"]]:
    """Logits that predict the answers' tokens, and those tokens.

    Rows that all prompts begin with (a system prompt, say) are computed once for the pass: what
    follows cannot change them, so loss and gradient stay the same. The head is applied to the
    answers' rows only.
    Source: ours. Oracle: tests/train/test_forward.py::test_packed_loss_equals_separate
    """
    sequences = [(*example.prompt, *example.answer[:-1]) for example in examples]
    targets = torch.tensor([token for example in examples for token in example.answer])
    if isinstance(network, Adapter):
        ends = [slice(len(example.prompt) - 1, None) for example in examples]
        return network.logits_at(sequences, ends), targets.to(network.device)
    shared, forest, rows = _shared_prefix(examples), Forest(), list[int]()
    common = forest.chain(sequences[0][:shared]) if shared else None
    for example, sequence in zip(examples, sequences, strict=True):
        own = forest.chain(sequence[shared:], after=common)
        rows += forest.rows(own)[-len(example.answer) :]
    hidden = forest.run(network)
    device = hidden.device
    return network.head(hidden[torch.tensor(rows, device=device)]), targets.to(device)


def _shared_prefix(examples: Sequence[Example]) -> int:
    """Tokens that all prompts begin with; each keeps its last one, whose row predicts."""
    if len(examples) == 1:
        return 0
    places = zip(*(example.prompt[:-1] for example in examples), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda tokens: len(set(tokens)) == 1, places))
