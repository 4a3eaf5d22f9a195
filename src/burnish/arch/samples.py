"""Texts that a network writes while it is trained."""

from typing import Any

import torch

from burnish.arch.attend import WindowAttend
from burnish.kv.rope import Rope
from burnish.models.decoder import Decoder

TEMPERATURE = 0.8


def sample_text(
    network: Decoder, tokenizer: Any, *, first: int, end: int, num_tokens: int, seed: int
) -> str:
    """A document from its beginning, at temperature 0.8; the same for the same network and seed.

    Each token is a pass over all before it: texts are short, and no cache has to fit the masters.
    Source: ours. Oracle: tests/arch/test_samples.py::test_a_sample_is_repeatable
    """
    device = network.lm_head.weight.device
    source = torch.Generator().manual_seed(seed % 2**63)
    tokens, rope = [first], Rope(network.config)
    longest = min(num_tokens, network.shape.max_position - 1)
    with torch.no_grad():
        while len(tokens) <= longest:
            rows = torch.tensor([tokens], device=device)
            begins = torch.zeros_like(rows, dtype=torch.bool)
            attend = WindowAttend(rope, network.shape.windows, begins=begins)
            hidden = network.hidden(rows[0], attend)
            logits = network.head(hidden[-1:])[0].float().cpu() / TEMPERATURE
            token = int(torch.multinomial(logits.softmax(-1), 1, generator=source))
            if token == end:
                break
            tokens.append(token)
    return tokenizer.decode(tokens[1:])
