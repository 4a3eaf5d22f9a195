"""`random`: a control, whose spans are chosen, or cut, at random."""

from dataclasses import dataclass, replace
from typing import Literal

from burnish.kv.policies import kv_policies
from burnish.kv.policies.triangle_dp import TriangleDpPolicy
from burnish.kv.retrieval.plan import RetrievalPlan


@kv_policies.register("random")
@dataclass(frozen=True, kw_only=True)
class RandomPolicy(TriangleDpPolicy):
    """As `triangle-dp`, but for one part that is random.

    `what`: `choice`, the spans that are read; or `bounds`, where spans begin: the lengths that
    `triangle-dp` finds, in random order, with the same index and the same scores.
    Source: ours. Oracle: tests/kv/retrieval/test_memory.py::test_random_depends_on_its_seed
    """

    what: Literal["choice", "bounds"] = "choice"
    seed: int = 0

    @property
    def plan(self) -> RetrievalPlan:
        """The best spans, one part of them random."""
        plan = replace(self.planned("best", shuffled=self.what == "bounds"), seed=self.seed)
        return plan if self.what == "bounds" else replace(plan, choice="random", vote_frac=0.0)
