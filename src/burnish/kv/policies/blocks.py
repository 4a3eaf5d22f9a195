"""`blocks`: spans of one length, as InfLLM has them."""

from dataclasses import dataclass
from typing import Literal

from burnish.kv.policies import kv_policies
from burnish.kv.retrieval.plan import RetrievalPlan
from burnish.kv.retrieval.policy import Retrieving, check_least
from burnish.kv.retrieval.segment import Pieces


@kv_policies.register("blocks")
@dataclass(frozen=True, kw_only=True)
class BlocksPolicy(Retrieving):
    """Blocks of `size` tokens. `vectors` averaged: InfLLM; apart: index and scores of `triangle`.

    Source: InfLLM, arXiv 2402.04617, and its code: four keys by local attention, averaged; the mean
    query; products summed over heads; one choice for all heads of a layer.
    Departure: the local window grows by the chunk instead of sliding inside it, and the four keys
    are the same for all heads.
    Oracle: tests/kv/retrieval/test_memory.py::test_blocks_equal_infllm_in_float64
    """

    size: int = 128
    vectors: Literal["averaged", "apart"] = "averaged"
    most_vectors: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least("size", self.size, 1)
        check_least("most_vectors", self.most_vectors, 1)

    @property
    def plan(self) -> RetrievalPlan:
        """Pieces of one length."""
        averaged = self.vectors == "averaged"
        return RetrievalPlan(
            far_tokens=self.far_tokens,
            local_tokens=self.local_tokens,
            num_sinks=self.num_sinks,
            segmenter=Pieces(size=self.size),
            positions=self.positions,
            vectors=self.vectors,
            most_vectors=self.most_vectors,
            static=averaged,
            joint=averaged,
            every_tokens=self.every_tokens,
            tier=self.tier,
            cache_tokens=self.cache_tokens,
            cache_keep=self.cache_keep,
        )
