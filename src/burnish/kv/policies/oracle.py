"""`oracle`: the far tokens of largest attention, found by looking at all of them."""

from dataclasses import dataclass

from burnish.kv.policies import kv_policies
from burnish.kv.retrieval.plan import RetrievalPlan
from burnish.kv.retrieval.policy import Retrieving
from burnish.kv.retrieval.segment import Pieces

PIECE_TOKENS = 16  # in which tokens leave the local window; the choice is by token


@kv_policies.register("oracle")
@dataclass(frozen=True, kw_only=True)
class OraclePolicy(Retrieving):
    """Exact top tokens for each key head: an upper bound, which no index reaches at this budget.

    Source: ours.
    Oracle: tests/kv/retrieval/test_memory.py::test_no_policy_has_more_mass_than_the_oracle
    """

    @property
    def plan(self) -> RetrievalPlan:
        """A choice by token."""
        return RetrievalPlan(
            far_tokens=self.far_tokens,
            local_tokens=self.local_tokens,
            num_sinks=self.num_sinks,
            segmenter=Pieces(size=PIECE_TOKENS),
            positions=self.positions,
            choice="tokens",
            every_tokens=self.every_tokens,
            tier=self.tier,
            cache_tokens=self.cache_tokens,
            cache_keep=self.cache_keep,
        )
