"""Which keys and values of a text a decoder keeps, and how later tokens look them up."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import torch

from burnish.contracts.attention import Attend


@dataclass(frozen=True, kw_only=True)
class KVShape:
    """What a policy must know of a decoder to store one of its sequences.

    `windows[l]` is the model's own sliding window of layer l [tokens], None for full attention;
    `config` is transformers' configuration, from which rotary positions are made.
    """

    num_layers: int
    num_kv_heads: int
    head_dim: int
    windows: Sequence[int | None]
    config: Any
    dtype: torch.dtype
    device: torch.device


@runtime_checkable
class KVMemory(Protocol):
    """Keys and values of one growing sequence.

    A pass over the next rows is `decoder.hidden(tokens, memory.attend(len(tokens)))`, then
    `advance`. Marks form a stack: rewinding to a mark discards everything after it.
    """

    @property
    def num_tokens(self) -> int:
        """Tokens read so far."""
        ...

    @property
    def num_kept_tokens(self) -> int:
        """Largest number of tokens whose keys and values a layer holds now."""
        ...

    def attend(self, num_rows: int) -> Attend:
        """Attention of the next `num_rows` tokens."""
        ...

    def advance(self) -> None:
        """Count the rows of the last `attend` as read, after all layers have seen them."""
        ...

    def mark(self) -> Any:
        """The current state, for `rewind`."""
        ...

    def rewind(self, mark: Any) -> None:
        """Return to a mark, as if nothing had been read since."""
        ...

    def fork(self) -> "KVMemory":
        """An independent memory in the same state."""
        ...


Positions = Literal["true", "packed"]


@dataclass(frozen=True, kw_only=True)
class View:
    """What a token attends to: the first `num_sinks` and the `latest_tokens`, itself included.

    Distances among the latest tokens are those of the text. `positions` says how far away sinks
    are: as in the text, or `packed`, as if nothing stood between them and the latest.
    """

    num_sinks: int
    latest_tokens: int
    positions: Positions

    @property
    def num_tokens(self) -> int:
        """Largest number of tokens that a token attends to."""
        return self.num_sinks + self.latest_tokens


@runtime_checkable
class KVPolicy(Protocol):
    """Says which tokens a token may attend to; the cache and the attention belong to `kv`.

    With a `view`, what a token sees does not depend on how rows are chunked. `budget_tokens`: most
    tokens whose keys and values a token may attend to, itself included; None: no limit. Where the
    budget covers the text, attention is full. See docs/decisions/0004-kv-policies.md.
    """

    @property
    def budget_tokens(self) -> int | None:
        """Largest number of tokens that a token attends to, itself included."""
        ...

    @property
    def view(self) -> View | None:
        """The tokens that a token attends to; None: all before it."""
        ...


@runtime_checkable
class MemoryPolicy(KVPolicy, Protocol):
    """A policy whose choice depends on queries, and which therefore has its own memory.

    What a token sees depends on the passes: one choice serves all rows of a pass. Its memory may
    have `see_surprise`, which a pass calls before `advance` where `needs_surprise` is true.
    """

    @property
    def most_distance_tokens(self) -> int | None:
        """Largest distance at which a token is read; None: that of the text."""
        ...

    def open(self, shape: KVShape) -> KVMemory:
        """An empty memory for one sequence."""
        ...
