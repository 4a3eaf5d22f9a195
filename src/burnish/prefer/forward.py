"""Log-probabilities of both answers of every pair: the prompt's rows once, the head on few rows."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from burnish.kv.shared import Forest
from burnish.models.adapters import Adapter
from burnish.models.decoder import Decoder
from burnish.models.head import logprobs_of, token_logprobs
from burnish.prefer.pairs import Pair


def answer_logprobs(network: Decoder | Adapter, pairs: Sequence[Pair]) -> Float[Tensor, " R"]:
    """Log-probability [nats] of every answer token: pair by pair, the chosen answer first.

    Our decoder computes a prompt once for both answers, and the head on answer rows only, in
    blocks. Other networks read each answer in a pass of its own, and give whole logits.
    Source: ours. Oracle: tests/prefer/test_forward.py::test_shared_prompt_equals_apart
    """
    if isinstance(network, Adapter):
        return torch.cat([_apart(network, pair, answer) for pair, answer in _answers(pairs)])
    forest, predicting = Forest(), list[int]()
    for pair in pairs:
        prompt = forest.chain(pair.prompt)
        for answer in (pair.chosen, pair.rejected):
            predicting += forest.branch(answer, after=prompt)
    hidden = forest.run(network)
    rows = torch.tensor(predicting, device=hidden.device)
    targets = torch.tensor([t for _, a in _answers(pairs) for t in a], device=hidden.device)
    return token_logprobs(hidden[rows], network.lm_head.weight, targets)


def _answers(pairs: Sequence[Pair]) -> Iterator[tuple[Pair, tuple[int, ...]]]:
    return ((pair, answer) for pair in pairs for answer in (pair.chosen, pair.rejected))


def _apart(network: Adapter, pair: Pair, answer: tuple[int, ...]) -> Float[Tensor, " R"]:
    sequence = [*pair.prompt, *answer[:-1]]
    logits = network.logits_at([sequence], [slice(len(pair.prompt) - 1, None)])
    return logprobs_of(logits, torch.tensor(answer, device=network.device))
