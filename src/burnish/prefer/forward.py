"""Log-probabilities of both answers of every pair: the prompt's rows once, the head on few rows."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from burnish.kv.rope import Rope
from burnish.kv.shared import SharedAttend
from burnish.models.adapters import Adapter
from burnish.models.decoder import Decoder
from burnish.prefer.head import token_logprobs
from burnish.prefer.pairs import Pair


def answer_logprobs(network: Decoder | Adapter, pairs: Sequence[Pair]) -> Float[Tensor, " R"]:
    """Log-probability [nats] of every answer token: pair by pair, the chosen answer first.

    Our decoder computes a prompt once for both answers, and the head on answer rows only, in
    blocks. Other networks read each answer in a pass of its own, and give whole logits.
    Source: ours. Oracle: tests/prefer/test_forward.py::test_shared_prompt_equals_apart
    """
    if isinstance(network, Adapter):
        return torch.cat([_apart(network, pair, answer) for pair, answer in _answers(pairs)])
    device = network.lm_head.weight.device
    branches = [(len(p.prompt), [len(p.chosen) - 1, len(p.rejected) - 1]) for p in pairs]
    attend = SharedAttend(branches, Rope(network.config), network.shape.windows).to(device)
    tokens = [t for p in pairs for t in (*p.prompt, *p.chosen[:-1], *p.rejected[:-1])]
    hidden = network.hidden(torch.tensor(tokens, device=device), attend)
    rows = torch.tensor(_predicting_rows(pairs), device=device)
    targets = torch.tensor([t for _, a in _answers(pairs) for t in a], device=device)
    return token_logprobs(hidden[rows], network.lm_head.weight, targets)


def _answers(pairs: Sequence[Pair]) -> Iterator[tuple[Pair, tuple[int, ...]]]:
    return ((pair, answer) for pair in pairs for answer in (pair.chosen, pair.rejected))


def _predicting_rows(pairs: Sequence[Pair]) -> list[int]:
    """For each answer the prompt's last row, then the answer's own."""
    rows: list[int] = []
    begin = 0
    for pair in pairs:
        last = begin + len(pair.prompt) - 1
        between = last + len(pair.chosen)
        rows += [last, *range(last + 1, between)]
        rows += [last, *range(between, between + len(pair.rejected) - 1)]
        begin += len(pair)
    return rows


def _apart(network: Adapter, pair: Pair, answer: tuple[int, ...]) -> Float[Tensor, " R"]:
    sequence = [*pair.prompt, *answer[:-1]]
    logits = network.logits_at([sequence], [slice(len(pair.prompt) - 1, None)])
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    targets = torch.tensor(answer, device=network.device)[:, None]
    return logits.gather(-1, targets)[:, 0] - logits.logsumexp(-1)
