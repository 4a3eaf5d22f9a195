"""`triangle`: spans of high triangle score, taken greedily, are brought back."""

from dataclasses import dataclass

from burnish.kv.policies import kv_policies
from burnish.kv.retrieval.plan import RetrievalPlan
from burnish.kv.retrieval.triangular import Triangular


@kv_policies.register("triangle")
@dataclass(frozen=True, kw_only=True)
class TrianglePolicy(Triangular):
    """Spans by non-maximum suppression, as Ltri-LLM has them.

    Source: Ltri-LLM, arXiv 2412.04757; reconstruction.
    Departure: what is unseen is ours: threshold, lengths, vectors and scores.
    Oracle: tests/kv/retrieval/test_memory.py::test_a_budget_that_covers_the_text_is_transformers
    """

    @property
    def plan(self) -> RetrievalPlan:
        """Greedy spans."""
        return self.planned("greedy")
