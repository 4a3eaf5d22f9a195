"""Whether decoding with a cache gives what one pass over the whole text gives."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from burnish.base.errors import ModelError, SettingError
from burnish.contracts.attention import Attend
from burnish.engine.session import DecoderSession
from burnish.kv.dense import DenseCache, ExtendAttend
from burnish.kv.rope import Rope
from burnish.kv.shared import SharedAttend, packed
from burnish.models.decoder import Decoder
from burnish.models.load import Model
from burnish.models.solver_config import SolverConfig

CHUNKS = (1, 3, 7)
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.05}  # of the largest logit


@dataclass(frozen=True, kw_only=True)
class Audited:
    """The numbers of `burnish arch audit`."""

    numbers: dict[str, Any]

    @property
    def equal(self) -> bool:
        """Whether all logits and all greedy tokens agree."""
        return bool(self.numbers["cached_equals_uncached"])


def audit(model: Model, prompt: Sequence[int], *, num_tokens: int) -> Audited:
    """Write `num_tokens` tokens greedily with a cache, and compare with one pass over the text.

    One pass over prompt and answer gives the greedy token of every position without a cache; the
    text is also read again in chunks of 1, 3 and 7 tokens. For a model with a solver the scheme of
    the released code, a cache for the corrector alone, is measured beside it.
    Raises ModelError for a model that our decoder does not run, SettingError for a length that the
    model was not made for.
    Source: ours; the released scheme: arXiv 2411.03042, its code.
    Oracle: tests/arch/test_cache_audit.py::test_exact_caches_pass
    """
    network = model.network
    if not isinstance(network, Decoder):
        rule = "must be a model that burnish's own decoder runs"
        remedy = "Name a Llama, Mistral or Qwen model"
        raise ModelError("model", model.spec, rule, remedy=remedy)
    total = len(prompt) + num_tokens
    if total > model.max_position:
        rule = f"must leave room for the prompt in {model.max_position} positions"
        raise SettingError("--tokens", num_tokens, rule, remedy="Lower it")
    tokens = _greedy(model, prompt, num_tokens)
    wanted = _whole(network, tokens)
    begin = len(prompt) - 1
    chosen = wanted[begin:-1].argmax(-1).tolist()
    num_equal = _common(chosen, tokens[len(prompt) :])
    scale = float(wanted.abs().max())
    differences = {size: _in_chunks(model, tokens, wanted, size) / scale for size in CHUNKS}
    worst = max(differences.values())
    equal = num_equal == num_tokens and worst <= TOLERANCE[model.dtype]
    solver = network.shape.solver
    cells = DecoderSession(
        network, num_slots=1, capacity_tokens=total, dtype=model.dtype, device=model.device
    ).cache
    return Audited(
        numbers={
            "cached_equals_uncached": equal,
            "num_tokens": num_tokens,
            "num_tokens_equal": num_equal,
            "logit_difference": worst,
            "logit_difference_by_chunk": {str(k): v for k, v in differences.items()},
            "kv_bytes": cells.num_bytes,
            "kv_bytes_per_token": cells.num_bytes // cells.capacity_tokens,
            "evaluations_per_layer": None if solver is None else list(_evaluations(solver)),
            "released_cache": None if solver is None else _released(model, tokens, wanted, prompt),
        }
    )


class CorrectorOnly:
    """The released cache: a layer's evaluations write one place, and the corrector's remains.

    A predictor's stage then sees the corrector's keys and values of earlier tokens, and its own of
    this one.
    Source: arXiv 2411.03042, from its released code.
    Oracle: tests/arch/test_cache_audit.py::test_exact_caches_pass
    """

    def __init__(self, attend: Attend, solver: SolverConfig) -> None:
        self._attend = attend
        self._layer_of = [
            solver.first_place(layer)
            for layer, num in enumerate(solver.num_places)
            for _ in range(num)
        ]

    def __call__(
        self,
        layer: int,
        query: Float[Tensor, "N H D"],
        key: Float[Tensor, "N K D"],
        value: Float[Tensor, "N K D"],
    ) -> Float[Tensor, "N H D"]:
        """Attention output of every row, over the layer's one place."""
        return self._attend(self._layer_of[layer], query, key, value)


def _greedy(model: Model, prompt: Sequence[int], num_tokens: int) -> list[int]:
    session = DecoderSession(
        model.decoder,
        num_slots=1,
        capacity_tokens=len(prompt) + num_tokens,
        dtype=model.dtype,
        device=model.device,
    )
    tokens = list(prompt)
    logits = session.prefill([0], [tokens])
    for number in range(num_tokens):
        tokens.append(int(logits[0].argmax()))
        if number + 1 < num_tokens:
            logits = session.step(tokens[-1:])
    return tokens


@torch.inference_mode()
def _whole(network: Decoder, tokens: Sequence[int]) -> Float[Tensor, "T V"]:
    attend = SharedAttend(packed([len(tokens)]), Rope(network.config), network.shape.windows)
    device = network.lm_head.weight.device
    ids = torch.tensor(tokens, device=device)
    return network.head(network.hidden(ids, attend.to(device))).float()


def _in_chunks(model: Model, tokens: Sequence[int], wanted: Tensor, size: int) -> float:
    """The largest difference of logits at the ends of chunks."""
    session = DecoderSession(
        model.decoder,
        num_slots=1,
        capacity_tokens=len(tokens),
        dtype=model.dtype,
        device=model.device,
    )
    worst = 0.0
    for begin in range(0, len(tokens), size):
        chunk = tokens[begin : begin + size]
        found = session.prefill([0], [chunk])[0].float()
        worst = max(worst, float((found - wanted[begin + len(chunk) - 1]).abs().max()))
    return worst


@torch.inference_mode()
def _released(
    model: Model, tokens: Sequence[int], wanted: Tensor, prompt: Sequence[int]
) -> dict[str, Any]:
    """The text under the released scheme: the prompt in one pass, then token by token."""
    network = model.decoder
    solver, shape = network.shape.solver, network.shape
    assert solver is not None
    cache = DenseCache(
        num_layers=shape.num_places,
        num_kv_heads=shape.num_kv_heads,
        head_dim=shape.head_dim,
        num_slots=1,
        capacity_tokens=len(tokens),
        dtype=model.dtype,
        device=model.device,
    )
    rope, worst, chosen = Rope(network.config), 0.0, list[int]()
    cuts = [0, *range(len(prompt), len(tokens))]
    for begin, end in itertools.pairwise(cuts):
        attend = CorrectorOnly(ExtendAttend(cache, [0], [end - begin], rope, shape.windows), solver)
        ids = torch.tensor(tokens[begin:end], device=model.device)
        found = network.head(network.hidden(ids, attend)[-1:])[0].float()
        cache.lengths[0] += end - begin
        worst = max(worst, float((found - wanted[end - 1]).abs().max()))
        chosen.append(int(found.argmax()))
    return {
        "logit_difference": worst / float(wanted.abs().max()),
        "num_tokens_equal": _common(chosen, tokens[len(prompt) :]),
    }


def _evaluations(solver: SolverConfig) -> Sequence[int]:
    return [solver.num_evaluations(layer) for layer in range(len(solver.orders))]


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Tokens that two texts begin with alike."""
    pairs = zip(one, other, strict=True)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), len(one))
