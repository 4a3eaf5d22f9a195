"""Settings that both triangle policies share."""

from dataclasses import dataclass
from typing import Literal

from burnish.base.errors import SettingError
from burnish.kv.retrieval.plan import RetrievalPlan
from burnish.kv.retrieval.policy import Retrieving, check_least, check_share
from burnish.kv.retrieval.segment import Triangles


@dataclass(frozen=True, kw_only=True)
class Triangular(Retrieving):
    """Spans of high triangle score, with up to `most_vectors` index vectors each.

    `theta`: the score's threshold; by default calibrated for each layer so that spans have
    `mean_tokens` on average. `static`: always `most_vectors` vectors. `persist` (gamma) and
    `persist_frac` (rho): persistent recall. `vote_frac`: a share for what heads vote for by content
    (`stream calibrate` finds good ones: `vote_heads`, as `18.7+12.8`, layer and query head; empty:
    all); votes keep `vote_keep` of their weight from token to token.
    `aligned`: spans are compared as attention compares keys, rotated to their places. `refine`: the
    tokens read are the best, by their keys, of so many times as many in the best spans; 1: spans
    are read whole. `int8`: index vectors in 8 bits.
    Source: Ltri-LLM, arXiv 2412.04757; reconstruction, since no method section could be read.
    """

    theta: float | None = None
    least_tokens: int = 8
    most_tokens: int = 128
    mean_tokens: float = 32.0
    most_vectors: int = 4
    static: bool = False
    persist: float = 0.0
    persist_frac: float = 0.0
    vote_frac: float = 0.0
    vote_heads: str = ""
    vote_keep: float = 0.0
    aligned: bool = False
    refine: float = 1.0
    int8: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least("least_tokens", self.least_tokens, 1)
        check_least("most_tokens", self.most_tokens, self.least_tokens)
        check_least("mean_tokens", self.mean_tokens, 1)
        check_least("most_vectors", self.most_vectors, 1)
        for name in ("persist", "persist_frac", "vote_frac", "vote_keep"):
            check_share(name, getattr(self, name))
        check_least("refine", self.refine, 1)
        if self.refine > 1 and not self.aligned:
            raise SettingError("refine", self.refine, "needs aligned", remedy="Add aligned=true")
        heads_of(self.vote_heads)
        if self.theta is not None:
            check_least("theta", self.theta, 0)

    def planned(self, how: Literal["greedy", "best"], *, shuffled: bool = False) -> RetrievalPlan:
        """The plan with a way to find spans."""
        triangles = Triangles(
            how=how,
            theta=self.theta,
            least_tokens=self.least_tokens,
            most_tokens=self.most_tokens,
            mean_tokens=self.mean_tokens,
            shuffled=shuffled,
        )
        return RetrievalPlan(
            far_tokens=self.far_tokens,
            local_tokens=self.local_tokens,
            num_sinks=self.num_sinks,
            segmenter=triangles,
            positions=self.positions,
            most_vectors=self.most_vectors,
            static=self.static,
            persist=self.persist,
            persist_frac=self.persist_frac,
            vote_frac=self.vote_frac,
            vote_heads=heads_of(self.vote_heads),
            vote_keep=self.vote_keep,
            aligned=self.aligned,
            refine=self.refine,
            int8=self.int8,
            every_tokens=self.every_tokens,
            tier=self.tier,
            cache_tokens=self.cache_tokens,
            cache_keep=self.cache_keep,
        )


def heads_of(text: str) -> tuple[tuple[int, int], ...]:
    """Layers and query heads from `18.7+12.8`. Raises SettingError for other text."""
    parts = [part.split(".") for part in text.split("+")] if text else []
    if not all(len(part) == 2 and all(x.isdecimal() for x in part) for part in parts):
        remedy = "stream calibrate prints it, for example 18.7+12.8"
        raise SettingError("vote_heads", text, "must be layer.head, joined by +", remedy=remedy)
    return tuple((int(layer), int(head)) for layer, head in parts)
