"""Logits of the rows that are learned from, for either kind of network."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from burnish.kv.packed import PackedAttend
from burnish.kv.rope import Rope
from burnish.models.adapters import Adapter
from burnish.models.decoder import Decoder
from burnish.train.examples import Example


def answer_logits(
    network: Decoder | Adapter, examples: Sequence[Example]
) -> tuple[Float[Tensor, "R V"], Int[Tensor, " R"]]:
    """Logits that predict the answers' tokens, and those tokens.

    The head is applied to these rows only.
    Source: ours. Oracle: tests/train/test_forward.py::test_packed_loss_equals_separate
    """
    sequences = [(*example.prompt, *example.answer[:-1]) for example in examples]
    kept = [
        slice(len(example.prompt) - 1, len(sequence))
        for example, sequence in zip(examples, sequences, strict=True)
    ]
    targets = torch.tensor([token for example in examples for token in example.answer])
    if isinstance(network, Adapter):
        return network.logits_at(sequences, kept), targets.to(network.device)
    device = network.model.embed_tokens.weight.device
    lengths = [len(sequence) for sequence in sequences]
    attend = PackedAttend(lengths, Rope(network.config), network.shape.windows).to(device)
    tokens = torch.tensor([token for sequence in sequences for token in sequence], device=device)
    hidden = network.hidden(tokens, attend)
    starts = torch.tensor([0, *lengths]).cumsum(0)[:-1].tolist()
    rows = torch.cat(
        [
            torch.arange(start + keep.start, start + keep.stop, device=device)
            for start, keep in zip(starts, kept, strict=True)
        ]
    )
    return network.head(hidden[rows]), targets.to(device)
