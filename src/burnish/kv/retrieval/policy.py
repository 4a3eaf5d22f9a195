"""What all retrieving policies share: their budget, checked, and the memory that serves them."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from burnish.base.errors import SettingError
from burnish.contracts.kv_policy import KVShape
from burnish.kv.retrieval.memory import RetrievingMemory
from burnish.kv.retrieval.plan import Placing, RetrievalPlan, Tier


@dataclass(frozen=True, kw_only=True)
class Retrieving(ABC):
    """`num_sinks` first tokens, at least `local_tokens` latest ones, and `far_tokens` in between.

    The far tokens are chosen for each pass, layer and key head; all others stay outside the working
    set, in memory or (`tier` disk) in files. `positions`: where far tokens stand, see `Plan`.
    `every_tokens`: decoding chooses again after so many tokens. `cache_tokens` of each layer's
    files stay at hand in pages: the latest read, or with `cache_keep` those read most.
    Source: Ltri-LLM, arXiv 2412.04757; InfLLM, arXiv 2402.04617.
    """

    far_tokens: int = 1024
    local_tokens: int = 512
    num_sinks: int = 4
    positions: Placing = "auto"
    every_tokens: int = 1
    tier: Tier = "memory"
    cache_tokens: int = 0
    cache_keep: float = 0.0

    def __post_init__(self) -> None:
        for name, least in (("far_tokens", 0), ("local_tokens", 1), ("num_sinks", 0)):
            check_least(name, getattr(self, name), least)
        check_least("every_tokens", self.every_tokens, 1)
        check_least("cache_tokens", self.cache_tokens, 0)
        check_share("cache_keep", self.cache_keep)

    @property
    def budget_tokens(self) -> int:
        """Sinks, far tokens and the local window; what waits to become a span comes on top."""
        return self.num_sinks + self.far_tokens + self.local_tokens

    @property
    def view(self) -> None:
        """No fixed part of the text: the choice depends on the queries."""
        return None

    @property
    @abstractmethod
    def plan(self) -> RetrievalPlan:
        """All settings of the memory."""

    @property
    def most_distance_tokens(self) -> int | None:
        """Largest distance that the model meets, but for a chunk and a span; None: the text's."""
        if self.positions == "true":
            return None
        packed = self.positions == "packed"
        return self.budget_tokens if packed else self.local_tokens

    def open(self, shape: KVShape, *, folder: Path | None = None) -> RetrievingMemory:
        """An empty memory; `folder` is where its far tokens go."""
        return RetrievingMemory(shape, self.plan, folder=folder)


def check_least(name: str, value: float, least: float) -> None:
    """Raise SettingError for a number below what it may be."""
    if value < least:
        raise SettingError(name, value, f"must be at least {least}", remedy="Raise it")


def check_share(name: str, value: float) -> None:
    """Raise SettingError for what is no share of a budget."""
    if not 0 <= value < 1:
        raise SettingError(name, value, "must lie in [0, 1)", remedy="0 switches it off")
