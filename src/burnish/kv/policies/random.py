"""`random`: a control, whose spans are chosen, or cut, at random."""

from dataclasses import dataclass, replace
from typing import Literal

from burnish.kv.policies import kv_policies
from burnish.kv.retrieval.plan import Plan
from burnish.kv.retrieval.triangular import Triangular


@kv_policies.register("random")
@dataclass(frozen=True, kw_only=True)
class RandomPolicy(Triangular):
    """As `triangle-dp`, but for one part that is random.

    `what`: `choice`, the spans that are read; or `bounds`, where spans begin: the lengths that
    `triangle-dp` finds, in random order, with the same index and the same scores.
    Source: ours. Oracle: tests/kv/retrieval/test_memory.py::test_random_depends_on_its_seed
    """

    what: Literal["choice", "bounds"] = "choice"
    seed: int = 0

    @property
    def plan(self) -> Plan:
        """The best spans, one part of them random."""
        plan = self.planned("best", shuffled=self.what == "bounds")
        return replace(plan, choice="random" if self.what == "choice" else "spans", seed=self.seed)
