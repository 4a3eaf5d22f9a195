"""Decoding under a KV policy: which models support it, and its slots."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from burnish.base.errors import ModelError
from burnish.contracts.attention import Attend
from burnish.contracts.kv_policy import KVMemory, KVPolicy, KVShape
from burnish.kv.memory import keeps_all, open_memory
from burnish.kv.policies import kv_policies
from burnish.models.decoder import Decoder
from burnish.models.load import Model

FULL = "full"
SURPRISE_ROWS = 128  # rows whose logits exist at once
CHUNK_ROWS = 512  # of a prompt, read at once: a memory never holds more than its budget and these


def bounded_policy(model: Model, kv: KVPolicy | str | None) -> KVPolicy | None:
    """The policy of a spec; None if it keeps all tokens.

    Raises ModelError for a policy on a model that is not our decoder, and what
    `kv_policies.parse` raises.
    """
    policy = kv_policies.parse(kv) if isinstance(kv, str) else kv
    if policy is None or keeps_all(policy):
        return None
    if not isinstance(model.network, Decoder):
        remedy = "Use a model of the Llama, Mistral or Qwen family, or leave --kv out"
        rule = "needs a model that burnish's own decoder runs"
        raise ModelError("KV policy", kv_policies.name_of(policy), rule, remedy=remedy)
    return policy


def shape_of(model: Model) -> KVShape:
    """What a policy's memory must know of a model of our decoder."""
    shape = model.decoder.shape
    return KVShape(
        num_layers=shape.num_places,
        num_kv_heads=shape.num_kv_heads,
        head_dim=shape.head_dim,
        windows=shape.windows,
        config=model.config,
        dtype=model.dtype,
        device=model.device,
    )


class PolicySession:
    """Sequences of our decoder, each in a memory of its own.

    A prompt is read alone and in fixed chunks, so that the results for a text do not depend on
    other texts; a step is one pass for all.
    Source: ours. Oracle: tests/engine/test_policies.py::test_policy_equals_naive_eviction
    """

    def __init__(self, model: Model, policy: KVPolicy, num_slots: int) -> None:
        self._decoder, self._policy, self._shape = model.decoder, policy, shape_of(model)
        self._memories = [self.open() for _ in range(num_slots)]

    def open(self) -> KVMemory:
        """The memory of a slot that nothing was read into."""
        return open_memory(self._policy, self._shape)

    def clear(self, slot: int) -> None:
        """Make a slot empty."""
        self._memories[slot] = self.open()

    def cuts(self, num_tokens: int) -> list[int]:
        """Where the chunks end in which a prompt is read."""
        return [*range(CHUNK_ROWS, num_tokens, CHUNK_ROWS), num_tokens]

    @torch.inference_mode()
    def prefill(
        self, slots: Sequence[int], prompts: Sequence[Sequence[int]]
    ) -> Float[Tensor, "B V"]:
        """Append prompts to the sequences in slots; logits of each prompt's last token."""
        last = []
        for slot, prompt in zip(slots, prompts, strict=True):
            for begin, end in itertools.pairwise([0, *self.cuts(len(prompt))]):
                hidden = self._pass([self._memories[slot]], [prompt[begin:end]])
            last.append(hidden[-1])
        return self._decoder.head(torch.stack(last))

    @torch.inference_mode()
    def step(self, tokens: Sequence[int]) -> Float[Tensor, "B V"]:
        """Append one token to each of the slots 0, 1, ...; logits of the appended rows."""
        memories = self._memories[: len(tokens)]
        return self._decoder.head(self._pass(memories, [[token] for token in tokens]))

    def snapshot(self, slot: int) -> KVMemory:
        """A copy of a slot's memory."""
        return self._memories[slot].fork()

    def restore(self, slot: int, snapshot: KVMemory) -> None:
        """Put a copied memory into a slot."""
        self._memories[slot] = snapshot.fork()

    def move(self, source: int, target: int) -> None:
        """Copy one slot over another."""
        self._memories[target] = self._memories[source].fork()

    def _pass(self, memories: Sequence[KVMemory], rows: Sequence[Sequence[int]]) -> Tensor:
        return read_rows(self._decoder, memories, rows, surprises=needs_surprise(self._policy))


def needs_surprise(policy: KVPolicy) -> bool:
    """Whether a policy's memory needs the surprise of each token."""
    return bool(getattr(policy, "needs_surprise", False))


def read_rows(
    decoder: Decoder,
    memories: Sequence[KVMemory],
    rows: Sequence[Sequence[int]],
    *,
    surprises: bool = False,
) -> Float[Tensor, "N d"]:
    """One pass over the next tokens of each memory; their final hidden rows.

    Source: ours. Oracle: tests/engine/test_policies.py::test_policy_equals_naive_eviction
    """
    counts = [len(tokens) for tokens in rows]
    parts = [memory.attend(num) for memory, num in zip(memories, counts, strict=True)]
    device = decoder.model.embed_tokens.weight.device
    ids = torch.tensor([t for tokens in rows for t in tokens], device=device)
    attend = parts[0] if len(parts) == 1 else _SideBySide(parts, counts)
    hidden = decoder.hidden(ids, attend)
    if surprises:
        told = zip(memories, hidden.split(counts), rows, strict=True)
        for memory, states, tokens in told:
            tell: Any = memory  # `needs_surprise`: it has the method
            tell.see_surprise(_surprises(decoder, states, tokens))
    for memory in memories:
        memory.advance()
    return hidden


def _surprises(decoder: Decoder, hidden: Tensor, tokens: Sequence[int]) -> np.ndarray:
    """Surprise [nats] of the tokens of a pass; unknown (NaN) for the first one.

    Source: EM-LLM, arXiv 2407.09450, equation 1.
    Oracle: tests/engine/test_policies.py::test_surprise_is_that_of_transformers
    """
    found = np.full(len(tokens), np.nan)
    for begin in range(0, len(tokens) - 1, SURPRISE_ROWS):
        rows = hidden[begin : min(begin + SURPRISE_ROWS, len(tokens) - 1)]
        following = torch.tensor(tokens[begin + 1 : begin + 1 + len(rows)], device=hidden.device)
        logits = decoder.head(rows).float()
        lost = logits.logsumexp(-1) - logits.gather(1, following[:, None])[:, 0]
        found[begin + 1 : begin + 1 + len(rows)] = lost.cpu().numpy()
    return found


class _SideBySide:
    """Rows of several sequences, each under an attention of its own."""

    def __init__(self, parts: Sequence[Attend], counts: Sequence[int]) -> None:
        self._parts, self._counts = parts, list(counts)

    def __call__(
        self,
        layer: int,
        query: Float[Tensor, "N H D"],
        key: Float[Tensor, "N K D"],
        value: Float[Tensor, "N K D"],
    ) -> Float[Tensor, "N H D"]:
        """Attention output of every row."""
        split = zip(*(rows.split(self._counts) for rows in (query, key, value)), strict=True)
        each = zip(self._parts, split, strict=True)
        return torch.cat([attend(layer, *rows) for attend, rows in each])
