"""Which keys and values of a text a decoder keeps, and how later tokens look them up."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch

from burnish.contracts.attention import Attend


@dataclass(frozen=True, kw_only=True)
class KVShape:
    """What a policy must know of a decoder to keep one sequence of it.

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
    `advance`. Marks are used like a stack: rewinding to one forgets all that came after it.
    """

    @property
    def num_tokens(self) -> int:
        """Tokens that were read so far."""
        ...

    @property
    def num_kept_tokens(self) -> int:
        """Most tokens that a layer holds keys and values of now."""
        ...

    def attend(self, num_rows: int) -> Attend:
        """Attention of the next `num_rows` tokens."""
        ...

    def advance(self) -> None:
        """Count the rows of the last `attend` as read, after all layers have seen them."""
        ...

    def mark(self) -> Any:
        """The present state, to come back to."""
        ...

    def rewind(self, mark: Any) -> None:
        """Return to a mark, as if nothing had been read since."""
        ...


@runtime_checkable
class KVPolicy(Protocol):
    """Opens a memory under a budget; what a token sees must not depend on how rows are chunked.

    `budget_tokens`: most tokens whose keys and values a token may attend to, itself included;
    None: no limit. Where the budget covers the text, attention is full.
    """

    @property
    def budget_tokens(self) -> int | None:
        """Most tokens that one token sees, itself included."""
        ...

    def open(self, shape: KVShape) -> KVMemory:
        """An empty memory for one sequence."""
        ...
