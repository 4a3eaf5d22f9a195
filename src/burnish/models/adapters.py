"""All other causal models of transformers, with their own forward pass and cache.

Slower than `decoder.py`, and right for any architecture: each sequence has a cache of its own, so
no padding ever reaches a recurrent state.
"""

import copy
import inspect
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Adapter(nn.Module):
    """A transformers model with the interface that the engine and the trainer use."""

    base_model_prefix = "network"  # transformers' conversion tables ask, when peft reads them

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        self.config = network.config

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.network.parameters()).device

    def logits_at(
        self, sequences: Sequence[Sequence[int]], kept: Sequence[slice]
    ) -> Float[Tensor, "R V"]:
        """Logits of the kept rows of each sequence, one sequence after another.

        One forward per sequence: padding would be wrong for state models.
        Source: ours. Oracle: tests/models/test_adapters.py::test_logits_equal_transformers
        """
        rows = []
        for tokens, keep in zip(sequences, kept, strict=True):
            ids = torch.tensor([list(tokens)], device=self.device)
            rows.append(self.network(input_ids=ids, use_cache=False).logits[0, keep])
        return torch.cat(rows)

    def states(self, tokens: Sequence[int], layer: int | None = None) -> Float[Tensor, "T d"]:
        """Hidden states of one text; `layer` counts as transformers' `hidden_states`, None: last.

        Source: ours. Oracle: tests/engine/test_embed.py::test_vectors_equal_transformers
        """
        ids = torch.tensor([list(tokens)], device=self.device)
        names = inspect.signature(self.network.forward).parameters
        few = {"logits_to_keep": 1} if "logits_to_keep" in names else {}
        out = self.network(input_ids=ids, use_cache=False, output_hidden_states=True, **few)
        return out.hidden_states[-1 if layer is None else layer][0]

    def session(self, num_slots: int) -> "AdapterSession":
        """Slots for generation."""
        return AdapterSession(self, num_slots)


class AdapterSession:
    """One cache of the model's own kind per slot."""

    def __init__(self, adapter: Adapter, num_slots: int) -> None:
        self._adapter = adapter
        self._caches: list[Any] = [None] * num_slots
        self._lengths = [0] * num_slots
        names = inspect.signature(adapter.network.forward).parameters
        self._cache_name = "cache_params" if "cache_params" in names else "past_key_values"
        self._takes_positions = "position_ids" in names

    def clear(self, slot: int) -> None:
        """Make a slot empty."""
        self._caches[slot], self._lengths[slot] = None, 0

    def cuts(self, num_tokens: int) -> list[int]:
        """A prompt is read whole: see `prefill`."""
        return [num_tokens]

    def prefill(
        self, slots: Sequence[int], prompts: Sequence[Sequence[int]]
    ) -> Float[Tensor, "B V"]:
        """Append prompts to the sequences in slots; logits of each prompt's last token.

        A sequence that has begun goes on token by token: many state models drop their state when
        they are given several (Mamba in transformers 5.23, without a word).
        """
        rows = []
        for slot, prompt in zip(slots, prompts, strict=True):
            pieces = [[token] for token in prompt] if self._lengths[slot] else [prompt]
            rows.append([self._run(slot, piece) for piece in pieces][-1])
        return torch.stack(rows)

    def step(self, tokens: Sequence[int]) -> Float[Tensor, "B V"]:
        """Append one token to each of the slots 0, 1, ...; logits of the appended rows."""
        return torch.stack([self._run(slot, [token]) for slot, token in enumerate(tokens)])

    def snapshot(self, slot: int) -> Any:
        """A copy of a slot's cache."""
        return copy.deepcopy(self._caches[slot]), self._lengths[slot]

    def restore(self, slot: int, snapshot: Any) -> None:
        """Put a copied cache into a slot."""
        self._caches[slot], self._lengths[slot] = copy.deepcopy(snapshot[0]), snapshot[1]

    def move(self, source: int, target: int) -> None:
        """Hand a slot's cache over: the source slot is dead afterwards."""
        self._caches[target], self._lengths[target] = self._caches[source], self._lengths[source]
        self._caches[source] = None

    @torch.no_grad()
    def _run(self, slot: int, tokens: Sequence[int]) -> Float[Tensor, " V"]:
        ids = torch.tensor([list(tokens)], device=self._adapter.device)
        start = self._lengths[slot]
        settings: dict[str, Any] = {self._cache_name: self._caches[slot], "use_cache": True}
        if self._takes_positions:
            settings["position_ids"] = torch.arange(start, start + len(tokens))[None].to(ids)
        out = self._adapter.network(input_ids=ids, **settings)
        self._caches[slot] = getattr(out, self._cache_name)
        self._lengths[slot] = start + len(tokens)
        return out.logits[0, -1]
