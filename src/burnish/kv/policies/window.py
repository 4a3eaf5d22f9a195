"""`window`: the first few tokens (sinks) and the latest ones, with positions inside the cache."""

from dataclasses import dataclass

from burnish.base.errors import SettingError
from burnish.contracts.kv_policy import View
from burnish.kv.policies import kv_policies


@kv_policies.register("window")
@dataclass(frozen=True, kw_only=True)
class WindowPolicy:
    """Keeps `num_sinks` first tokens and the latest, `budget_tokens` in all.

    Every token sees what token-by-token eviction would have left it, however rows are chunked.
    Source: StreamingLLM, arXiv 2309.17453, section 3.2: positions are those inside the cache.
    Departure: the budget counts the token itself; released code evicts chunk by chunk, so that
    what a token sees there depends on the chunk.
    Oracle: tests/kv/test_policies.py::test_window_equals_eviction_token_by_token
    """

    budget_tokens: int = 1024
    num_sinks: int = 4

    def __post_init__(self) -> None:
        if self.num_sinks < 0:
            remedy = "0 keeps only the latest tokens"
            raise SettingError("num_sinks", self.num_sinks, "must not be negative", remedy=remedy)
        if self.budget_tokens <= self.num_sinks:
            rule = f"must be more than num_sinks ({self.num_sinks})"
            raise SettingError("budget_tokens", self.budget_tokens, rule, remedy="Raise it")

    @property
    def view(self) -> View:
        """Sinks and the latest tokens, numbered from 0."""
        latest = self.budget_tokens - self.num_sinks
        return View(num_sinks=self.num_sinks, latest_tokens=latest, positions="packed")
