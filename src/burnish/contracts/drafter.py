"""Drafters, which propose tokens, and the tree of drafts that one pass verifies."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol, runtime_checkable

from torch import Tensor

from burnish.base.errors import SettingError


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A tree of tokens. Node 0 is the last certain token; every other node follows its parent.

    `parents[0]` is -1, and `parents[v] < v` for all others, so nodes are in topological order.
    """

    tokens: tuple[int, ...]
    parents: tuple[int, ...] = (-1,)

    def __post_init__(self) -> None:
        good = len(self.tokens) == len(self.parents) and self.parents[:1] == (-1,)
        if not good or any(not 0 <= p < v for v, p in enumerate(self.parents) if v):
            rule = "must name an earlier node for each token, or -1 for the root"
            raise SettingError("draft parents", self.parents, rule, remedy="Order it by depth")

    @cached_property
    def children(self) -> tuple[dict[int, int], ...]:
        """For each node its children: token -> node."""
        found: tuple[dict[int, int], ...] = tuple({} for _ in self.tokens)
        for node, parent in enumerate(self.parents[1:], start=1):
            found[parent].setdefault(self.tokens[node], node)
        return found


@dataclass(frozen=True, kw_only=True)
class Riders:
    """Pseudo states: maps from a known hidden state to predictions of later ones.

    `weight[i]` `[d, f]` and `bias[i]` `[d]` give the state of offset i + 1 from features of width
    f: the stream entering layer `entries[i]`, and behind it, if `knows_next`, the embedding of the
    token that follows the anchor. `source`: the features are the anchor's own state, or that of
    the pseudo state before. `cross`: pseudo states of one anchor see those before them. `passes`:
    `one` carries them at every node of the verifying pass, `two` runs them afterwards from the
    accepted node only.
    """

    entries: tuple[int, ...]
    weight: Tensor
    bias: Tensor | None = None
    source: Literal["anchor", "previous"] = "anchor"
    knows_next: bool = False
    cross: bool = True
    passes: Literal["one", "two"] = "one"

    @property
    def num_offsets(self) -> int:
        """Pseudo states per anchor."""
        return len(self.entries)


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """The state of one text after a pass.

    `tokens` are prompt and answer; the last one is the next root. `final` is the last hidden
    state of the last accepted node and `pseudo` those of its pseudo states; both are None before
    the first pass of a text.
    """

    tokens: Sequence[int]
    final: Tensor | None = None
    pseudo: Tensor | None = None


@runtime_checkable
class Proposer(Protocol):
    """A drafter that is prepared for one model."""

    riders: Riders | None  # pseudo states that the passes must carry
    num_nodes: int  # most nodes of a draft, the root included

    def propose(self, anchors: Sequence[Anchor]) -> list[Draft]:
        """One draft for each text; its root is the anchor's last token."""
        ...


@runtime_checkable
class Drafter(Protocol):
    """A method that drafts tokens. It can change the time that decoding takes, never the text."""

    def begin(self, model: Any) -> Proposer:
        """Prepare for a model. Raises ModelError if the drafter does not support it."""
        ...
