"""`sinks`: StreamingLLM under the budget of the retrieving policies."""

from dataclasses import dataclass

from burnish.contracts.kv_policy import View
from burnish.kv.policies import kv_policies
from burnish.kv.retrieval.policy import check_least


@kv_policies.register("sinks")
@dataclass(frozen=True, kw_only=True)
class SinksPolicy:
    """Sinks and the latest tokens; the far budget makes the window longer. Nothing comes back.

    `window` with the settings that a retrieving policy has, so that both read equally many tokens.
    Source: StreamingLLM, arXiv 2309.17453, section 3.2.
    Oracle: tests/kv/test_policies.py::test_sinks_equal_eviction_token_by_token
    """

    far_tokens: int = 1024
    local_tokens: int = 512
    num_sinks: int = 4

    def __post_init__(self) -> None:
        for name, least in (("far_tokens", 0), ("local_tokens", 1), ("num_sinks", 0)):
            check_least(name, getattr(self, name), least)

    @property
    def budget_tokens(self) -> int:
        """All tokens of a retrieving policy."""
        return self.num_sinks + self.far_tokens + self.local_tokens

    @property
    def view(self) -> View:
        """Sinks and the latest tokens, numbered from 0."""
        latest = self.far_tokens + self.local_tokens
        return View(num_sinks=self.num_sinks, latest_tokens=latest, positions="packed")
