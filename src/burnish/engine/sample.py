"""The next token from logits: filters, then the largest logit after keyed Gumbel noise."""

import hashlib
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from burnish.contracts.generation import Matcher, Sampling, TokenLogprobs
from burnish.kernels import ops
from burnish.models.head import checked_numbers

BLOCK = 64  # tokens whose largest logit is compared first
MOST_CANDIDATES = 256  # a top-k beyond which searching blocks saves little
COLDEST = 1e-6  # less is greedy all the same, and logits over it would not be finite
NEGLIGIBLE_NATS = 30.0  # exp(-30) of 49,152 tokens together: under 5e-9, below float32's rounding


def keyed_noise(keys: Int[Tensor, " S"], tokens: Int[Tensor, " S"]) -> Float[Tensor, " S"]:
    """Gumbel noise of each (draw, token) pair; the draw's key comes from its seed and position.

    Neither the batch, the order of requests nor the device can change it, and drafted decoding
    draws the same noise for the same position. A rounding error in the logits changes the chosen
    token only where two perturbed logits nearly tie (an inverse CDF flips on every rare token).
    Source: the Gumbel-max trick, arXiv 1411.0030, section 2; the hash is SplitMix64.
    Oracle: tests/engine/test_sample.py::test_frequencies_equal_probabilities
    """
    state = keys + tokens * -7046029254386353131
    state = (state ^ _shifted(state, 30)) * -4658895280553007687
    state = (state ^ _shifted(state, 27)) * -7723592293110705685
    bits = _shifted(state ^ _shifted(state, 31), 11)
    return -(-((bits.double() + 0.5) * 2.0**-53).log()).log().float()


def _key(seed: int, position: int) -> int:
    digest = hashlib.blake2b(f"{seed}/{position}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


def _shifted(state: Int[Tensor, " S"], num_bits: int) -> Int[Tensor, " S"]:
    """Logical shift to the right: torch's keeps the sign."""
    return (state >> num_bits) & ((1 << (64 - num_bits)) - 1)


def next_tokens(
    logits: Float[Tensor, "B V"],
    settings: Sequence[Sampling],
    positions: Sequence[int],
    seen: Bool[Tensor, "B V"] | None = None,
) -> list[int]:
    """One token per row. `positions` count the new tokens; `seen` marks tokens to penalise.

    Raises: IncompleteError, where a row's largest logit is NaN.
    Source: ours. Oracle: tests/engine/test_sample.py::test_frequencies_equal_probabilities
    """
    if seen is not None:
        logits = _penalised(logits.float(), settings, seen)
    chosen = _largest(logits)
    checked_numbers(logits.gather(1, chosen[:, None]))
    drawn = [row for row, sampling in enumerate(settings) if sampling.temperature > 0]
    alone = {row: _top_k_alone(settings[row], logits.shape[1]) for row in drawn}
    for top_k in set(alone.values()):
        rows = [row for row in drawn if alone[row] == top_k]
        some = [settings[row] for row in rows]
        own = logits if len(rows) == len(logits) else logits[rows]
        kept, tokens = likeliest(own, some, top_k) if top_k else (filtered(own.float(), some), None)
        keys = [_key(one.seed, positions[row]) for row, one in zip(rows, some, strict=True)]
        chosen[rows] = _draw(kept, tokens, keys)
    return chosen.tolist()


def _top_k_alone(sampling: Sampling, num_tokens: int) -> int:
    """Its top-k where that is small and the only filter, else 0."""
    small = sampling.top_k <= MOST_CANDIDATES and sampling.top_k < num_tokens
    return sampling.top_k if small and sampling.top_p >= 1 and sampling.min_p <= 0 else 0


def _largest(logits: Float[Tensor, "B V"]) -> Int[Tensor, " B"]:
    """The most likely token of each row; of equals the first, whatever the batch."""
    return ops.largest(logits) if ops.usable(logits) else logits.argmax(dim=-1)


def filtered(logits: Float[Tensor, "B V"], settings: Sequence[Sampling]) -> Float[Tensor, "B V"]:
    """Logits over temperature, with tokens outside top-k, top-p and min-p at minus infinity.

    Order and conventions are transformers': top-k keeps ties, top-p keeps the token that crosses
    p, min-p is relative to the most likely token.
    Source: ours. Oracle: tests/engine/test_sample.py::test_filters_equal_transformers
    """
    heat = [max(s.temperature, COLDEST) for s in settings]
    logits = logits / logits.new_tensor(heat)[:, None]
    for top_k in {s.top_k for s in settings if 0 < s.top_k < logits.shape[1]}:
        rows = _rows(settings, lambda s, k=top_k: s.top_k == k)
        least = logits[rows].topk(top_k, dim=-1).values[:, -1:]
        logits[rows] = logits[rows].masked_fill(logits[rows] < least, float("-inf"))
    if rows := _rows(settings, lambda s: s.top_p < 1):
        top_p = logits.new_tensor([settings[row].top_p for row in rows])[:, None]
        values, order = logits[rows].sort(dim=-1, descending=True)
        mass = values.softmax(-1)
        values = values.masked_fill(mass.cumsum(-1) - mass >= top_p, float("-inf"))
        logits[rows] = torch.empty_like(values).scatter_(-1, order, values)
    if rows := _rows(settings, lambda s: s.min_p > 0):
        min_p = logits.new_tensor([settings[row].min_p for row in rows])[:, None]
        mass = logits[rows].softmax(-1)
        low = mass < min_p * mass.amax(dim=-1, keepdim=True)
        logits[rows] = logits[rows].masked_fill(low, float("-inf"))
    return logits


def likeliest(
    logits: Float[Tensor, "B V"], settings: Sequence[Sampling], top_k: int
) -> tuple[Float[Tensor, "B C"], Int[Tensor, "B C"] | None]:
    """`filtered` for rows with top-k alone: the candidates that hold what it keeps, and which.

    The tokens are None where the candidates are the whole vocabulary. The k likeliest tokens lie
    in the k blocks of tokens with the largest peaks, so only these are searched. Where tokens tie
    with the last one kept, others may lie elsewhere: then all are.
    Source: ours. Oracle: tests/engine/test_sample.py::test_candidates_are_what_the_filter_keeps
    """
    blocks = functional.pad(logits, (0, -logits.shape[1] % BLOCK), value=float("-inf"))
    blocks = blocks.unflatten(1, (-1, BLOCK))
    peaks = blocks.amax(-1)
    best = peaks.topk(min(top_k, peaks.shape[1])).indices.sort(-1).values
    found = blocks.gather(1, best[..., None].expand(-1, -1, BLOCK)).flatten(1).float()
    heat = found.new_tensor([max(s.temperature, COLDEST) for s in settings])[:, None]
    found, peaks = found / heat, peaks.float() / heat
    least = found.topk(top_k).values[:, -1:]
    if not torch.equal((peaks >= least).sum(-1), (peaks.gather(1, best) >= least).sum(-1)):
        return filtered(logits.float(), settings), None
    tokens = best[..., None] * BLOCK + torch.arange(BLOCK, device=best.device)
    return found.masked_fill(found < least, float("-inf")), tokens.flatten(1)


def _rows(settings: Sequence[Sampling], wanted: Callable[[Sampling], bool]) -> list[int]:
    return [row for row, sampling in enumerate(settings) if wanted(sampling)]


def _draw(
    logits: Float[Tensor, "B C"], tokens: Int[Tensor, "B C"] | None, keys: Sequence[int]
) -> Int[Tensor, " B"]:
    """The token with the largest logit after noise; `tokens` names the columns, None: themselves.

    Tokens that 30 nats rule out get no noise, which saves time.
    """
    possible = logits >= logits.amax(dim=-1, keepdim=True) - NEGLIGIBLE_NATS
    rows, columns = possible.nonzero(as_tuple=True)
    named = columns if tokens is None else tokens[rows, columns]
    noise = keyed_noise(torch.tensor(keys, device=logits.device)[rows], named)
    counts = possible.sum(dim=-1).tolist()
    perturbed = (logits[rows, columns] + noise).split(counts)
    best = [row.argmax() for row in perturbed]
    return torch.stack([t[b] for t, b in zip(named.split(counts), best, strict=True)])


def _penalised(
    logits: Float[Tensor, "B V"], settings: Sequence[Sampling], seen: Bool[Tensor, "B V"]
) -> Float[Tensor, "B V"]:
    """Divide positive and multiply negative logits of seen tokens by the penalty.

    Source: CTRL, arXiv 1909.05858, section 4.1, with the sign rule of transformers.
    Oracle: tests/engine/test_sample.py::test_penalty_equals_transformers
    """
    penalty = logits.new_tensor([s.repetition_penalty for s in settings])[:, None]
    changed = torch.where(logits > 0, logits / penalty, logits * penalty)
    return torch.where(seen, changed, logits)


def discouraged(
    logits: Float[Tensor, "B V"], settings: Sequence[Sampling], counts: Float[Tensor, "B V"]
) -> Float[Tensor, "B V"]:
    """Subtract the frequency penalty times `counts`, and the presence penalty where one is there.

    Source: OpenAI's API reference, frequency and presence penalties.
    Oracle: tests/engine/test_sample.py::test_frequency_and_presence_penalties_by_hand
    """
    logits = logits.float()
    frequency = logits.new_tensor([s.frequency_penalty for s in settings])[:, None]
    presence = logits.new_tensor([s.presence_penalty for s in settings])[:, None]
    return logits - frequency * counts - presence * (counts > 0)


def biased(logits: Float[Tensor, "B V"], settings: Sequence[Sampling]) -> Float[Tensor, "B V"]:
    """Add each row's bias to the logits of the tokens that it names; the same tensor without any.

    Source: OpenAI's API reference, logit_bias.
    Oracle: tests/engine/test_sample.py::test_bias_is_added_to_the_named_tokens
    """
    if not (rows := _rows(settings, lambda s: bool(s.logit_bias))):
        return logits
    logits = logits.float().clone()
    for row in rows:
        tokens, values = zip(*settings[row].logit_bias, strict=True)
        added = torch.zeros_like(logits[row])
        added.index_add_(0, added.new_tensor(tokens, dtype=torch.int64), added.new_tensor(values))
        logits[row] += added
    return logits


def permitted(
    logits: Float[Tensor, "B V"], matchers: Sequence[Matcher | None]
) -> Float[Tensor, "B V"]:
    """Logits of tokens that a row's grammar forbids at minus infinity; the rest as it was.

    A row whose grammar permits no token of the vocabulary is left alone: its matcher then refuses
    the token that is drawn.
    Source: constrained decoding, arXiv 2307.09702, section 3.
    Oracle: tests/engine/test_grammar.py::test_texts_follow_their_schema
    """
    held = [(row, one.allowed()) for row, one in enumerate(matchers) if one is not None]
    if not any(mask.any() for _, mask in held):
        return logits
    logits = logits.clone()
    for row, mask in held:
        if mask.any():
            logits[row, torch.from_numpy(~mask).to(logits.device)] = float("-inf")
    return logits


def top_logprobs(logits: Float[Tensor, " V"], token: int, num: int) -> TokenLogprobs:
    """Log-probabilities [nats] of `token` and of the `num` likeliest tokens.

    Source: ours. Oracle: tests/engine/test_sample.py::test_logprobs_equal_log_softmax
    """
    every = logits.float().log_softmax(-1)
    values, tokens = every.topk(min(num, len(every)))
    top = tuple(zip(tokens.tolist(), values.tolist(), strict=True))
    return TokenLogprobs(logprob=float(every[token]), top=top)
