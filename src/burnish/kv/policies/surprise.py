"""`surprise`: spans end where the next token surprises the model, as EM-LLM has them."""

from dataclasses import dataclass

from burnish.kv.policies import kv_policies
from burnish.kv.retrieval.plan import RetrievalPlan
from burnish.kv.retrieval.policy import Retrieving, check_least
from burnish.kv.retrieval.segment import Surprises


@kv_policies.register("surprise")
@dataclass(frozen=True, kw_only=True)
class SurprisePolicy(Retrieving):
    """Events that begin with a token whose surprise is `gamma` deviations above the mean.

    Needs the head's output for every token that is read.
    Source: EM-LLM, arXiv 2407.09450; gamma and lengths as in its configurations.
    Departure: index and scores are those of `triangle`; no contiguity buffer, no refinement.
    Oracle: tests/kv/retrieval/test_segment.py::test_surprising_tokens_begin_spans
    """

    gamma: float = 1.0
    least_tokens: int = 8
    most_tokens: int = 128
    window_tokens: int = 128
    most_vectors: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least("least_tokens", self.least_tokens, 1)
        check_least("most_tokens", self.most_tokens, self.least_tokens)
        check_least("most_vectors", self.most_vectors, 1)
        check_least("window_tokens", self.window_tokens, 2)

    @property
    def needs_surprise(self) -> bool:
        """Each pass tells the memory how surprising its tokens are."""
        return True

    @property
    def plan(self) -> RetrievalPlan:
        """Cuts by surprise."""
        cut = Surprises(
            gamma=self.gamma,
            least_tokens=self.least_tokens,
            most_tokens=self.most_tokens,
            window_tokens=self.window_tokens,
        )
        return RetrievalPlan(
            far_tokens=self.far_tokens,
            local_tokens=self.local_tokens,
            num_sinks=self.num_sinks,
            segmenter=cut,
            positions=self.positions,
            most_vectors=self.most_vectors,
            every_tokens=self.every_tokens,
            tier=self.tier,
            cache_tokens=self.cache_tokens,
            cache_keep=self.cache_keep,
        )
