"""`triangle-dp`: as `triangle`, with the exactly best spans."""

from dataclasses import dataclass, replace
from typing import Literal

from burnish.kv.policies import kv_policies
from burnish.kv.retrieval.plan import RetrievalPlan
from burnish.kv.retrieval.segment import Pieces
from burnish.kv.retrieval.triangular import Triangular


@kv_policies.register("triangle-dp")
@dataclass(frozen=True, kw_only=True)
class TriangleDpPolicy(Triangular):
    """Spans of largest total score, by dynamic programming; tokens are chosen in two stages.

    The index is compared as attention will compare keys; the best tokens of the best spans are
    read, and a share for what heads vote for by content.
    `cut`: `greedy` and `blocks`, pieces of `mean_tokens`, are controls for the spans alone.
    Source: ours, on the score of Ltri-LLM, arXiv 2412.04757.
    Oracle: tests/kv/retrieval/test_spans.py::test_best_total_equals_all_partitions
    """

    cut: Literal["best", "greedy", "blocks"] = "best"
    least_tokens: int = 4
    most_tokens: int = 64
    mean_tokens: float = 16.0
    vote_frac: float = 0.5
    vote_keep: float = 0.95
    aligned: bool = True
    refine: float = 2.0
    int8: bool = True

    @property
    def plan(self) -> RetrievalPlan:
        """The best spans, or those of a control."""
        if self.cut == "blocks":
            return replace(self.planned("best"), segmenter=Pieces(size=round(self.mean_tokens)))
        return self.planned(self.cut)
