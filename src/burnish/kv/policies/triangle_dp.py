"""`triangle-dp`: as `triangle`, with the exactly best spans."""

from dataclasses import dataclass

from burnish.kv.policies import kv_policies
from burnish.kv.retrieval.plan import Plan
from burnish.kv.retrieval.triangular import Triangular


@kv_policies.register("triangle-dp")
@dataclass(frozen=True, kw_only=True)
class TriangleDpPolicy(Triangular):
    """Spans of largest total score, by dynamic programming.

    Source: ours, on the score of Ltri-LLM, arXiv 2412.04757.
    Oracle: tests/kv/retrieval/test_spans.py::test_best_total_equals_all_partitions
    """

    @property
    def plan(self) -> Plan:
        """The best spans."""
        return self.planned("best")
