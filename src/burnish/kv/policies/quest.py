"""`quest`: small pages, scored by a bound on their keys' products with the query."""

from dataclasses import dataclass

from burnish.kv.policies import kv_policies
from burnish.kv.retrieval.plan import RetrievalPlan
from burnish.kv.retrieval.policy import Retrieving, check_least
from burnish.kv.retrieval.segment import Pieces


@kv_policies.register("quest")
@dataclass(frozen=True, kw_only=True)
class QuestPolicy(Retrieving):
    """Pages of `size` tokens with the least and the largest cell of their keys.

    Source: Quest, arXiv 2406.10774.
    Departure: beyond the model's window keys are not rotated; also in prefill, where the bounds of
    the chunk's queries are summed as shares; no layer is left dense.
    Oracle: tests/kv/retrieval/test_choose.py::test_page_bounds_hold
    """

    size: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least("size", self.size, 1)

    @property
    def plan(self) -> RetrievalPlan:
        """Pages with bounds."""
        return RetrievalPlan(
            far_tokens=self.far_tokens,
            local_tokens=self.local_tokens,
            num_sinks=self.num_sinks,
            segmenter=Pieces(size=self.size),
            positions=self.positions,
            vectors="bounds",
            aligned=True,
            every_tokens=self.every_tokens,
            tier=self.tier,
            cache_tokens=self.cache_tokens,
            cache_keep=self.cache_keep,
        )
