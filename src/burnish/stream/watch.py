"""Records what a memory reads of a text, and all keys that it ever saw."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from burnish.contracts.attention import Attend
from burnish.contracts.kv_policy import KVMemory
from burnish.kv.bounded import BoundedMemory
from burnish.kv.evicting import EvictingMemory
from burnish.kv.retrieval.memory import RetrievingMemory


class Watched:
    """A memory that also records its keys (before rotation) and last queries.

    What the memory does is not changed: the keys are those of its own states, never those of full
    attention.
    Source: ours. Oracle: tests/stream/test_watch.py::test_a_watched_memory_does_the_same
    """

    def __init__(self, memory: KVMemory, num_layers: int) -> None:
        self.memory = memory
        self._parts: list[list[Tensor]] = [[] for _ in range(num_layers)]
        self.queries: list[Tensor] = [torch.zeros(0)] * num_layers
        self.held: list[list[Tensor]] = [[] for _ in range(num_layers)]

    @property
    def num_tokens(self) -> int:
        """Tokens that were read so far."""
        return self.memory.num_tokens

    @property
    def num_kept_tokens(self) -> int:
        """As in the watched memory."""
        return self.memory.num_kept_tokens

    def fork(self) -> "Watched":
        """An independent memory, watched from here on."""
        other = Watched(self.memory.fork(), len(self._parts))
        other._parts = [list(parts) for parts in self._parts]
        return other

    def attend(self, num_rows: int) -> Attend:
        """Attention of the next tokens, watched."""
        if isinstance(self.memory, RetrievingMemory):
            self.memory.watch = self._see
        return _Watching(self, self.memory.attend(num_rows), num_rows)

    def advance(self) -> None:
        """As in the watched memory."""
        self.memory.advance()

    def see_surprise(self, values: Any) -> None:
        """As in the watched memory."""
        assert isinstance(self.memory, RetrievingMemory)
        self.memory.see_surprise(values)

    def mark(self) -> Any:
        """The present state."""
        return self.memory.mark(), [len(parts) for parts in self._parts]

    def rewind(self, mark: Any) -> None:
        """Return to a mark."""
        self.memory.rewind(mark[0])
        self._parts = [p[:n] for p, n in zip(self._parts, mark[1], strict=True)]

    def keys(self, layer: int) -> Float[Tensor, "T K D"]:
        """Keys of all tokens read, before rotation."""
        return torch.cat(self._parts[layer])

    def keys_from(self, layer: int, start: int) -> Float[Tensor, "T K D"]:
        """Keys of the tokens from `start`, the beginning of a part, on."""
        parts, at = self._parts[layer], 0
        while at < start:
            at, parts = at + len(parts[0]), parts[1:]
        assert at == start
        return torch.cat(parts)

    def pack(self) -> None:
        """Join what was read so far, so that `keys` is quick. Marks from before are void."""
        self._parts = [[torch.cat(parts)] for parts in self._parts]

    def _see(self, layer: int, query: Tensor, at: Tensor) -> None:
        assert isinstance(self.memory, RetrievingMemory)
        begin = self.memory.layers[layer].begin
        local = torch.arange(begin, self.num_tokens + len(query))
        self.held[layer] = [torch.cat((row.cpu(), local)) for row in at]

    def after(self, layer: int, query: Tensor, key: Tensor) -> None:
        """Record a layer's input, and what it read."""
        self._parts[layer].append(key)
        self.queries[layer] = query[-1]
        end, heads = self.num_tokens + len(query), key.shape[1]
        if isinstance(self.memory, EvictingMemory):
            self.held[layer] = [row.cpu() for row in self.memory.layers[layer].at]
        elif isinstance(self.memory, BoundedMemory):
            latest = self.memory.budget_tokens - self.memory.num_sinks
            sinks = torch.arange(min(self.memory.num_sinks, end))
            near = torch.arange(max(len(sinks), end - latest), end)
            self.held[layer] = [torch.cat((sinks, near))] * heads
        elif not isinstance(self.memory, RetrievingMemory):
            self.held[layer] = [torch.arange(end)] * heads


class _Watching:
    def __init__(self, watched: Watched, inner: Attend, num_rows: int) -> None:
        self._watched, self._inner = watched, inner

    def __call__(
        self,
        layer: int,
        query: Float[Tensor, "N H D"],
        key: Float[Tensor, "N K D"],
        value: Float[Tensor, "N K D"],
    ) -> Float[Tensor, "N H D"]:
        """The memory's own attention."""
        out = self._inner(layer, query, key, value)
        self._watched.after(layer, query, key)
        return out


def recall_of(held: Sequence[Tensor], places: Sequence[tuple[int, int]]) -> float:
    """Fraction of a needle's tokens that a layer's heads read, mean over heads.

    `places`: first token of each part of the needle, and the one behind its last.
    Source: ours (Ltri-LLM reports evidence recall, definition unseen).
    Oracle: tests/stream/test_watch.py::test_recall_counts_tokens
    """
    size = sum(end - first for first, end in places)
    inside = [
        sum(((row >= first) & (row < end)).sum().item() for first, end in places) for row in held
    ]
    return sum(inside) / (len(held) * size)
