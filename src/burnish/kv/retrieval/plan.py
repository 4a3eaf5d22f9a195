"""What a retrieving memory does: how it cuts, indexes, chooses and places far tokens."""

from dataclasses import dataclass
from typing import Literal

from burnish.kv.retrieval.segment import Segmenter

Choice = Literal["spans", "tokens", "random"]
Vectors = Literal["apart", "averaged", "bounds"]
Placed = Literal["true", "packed", "constant"]
Placing = Placed | Literal["auto"]
Tier = Literal["memory", "disk"]


@dataclass(frozen=True, kw_only=True)
class RetrievalPlan:
    """All settings of a retrieving memory, made by a policy.

    `choice`: by scores of spans, by exact scores of tokens (the oracle), or at random. `vectors`:
    keys kept apart, their average, or least and largest cells. `static`: always `most_vectors` keys
    a span. `joint`: one choice for all heads of a layer, by the mean query. `persist` (gamma) and
    `persist_frac` (rho): a share of the budget for spans that were wanted before. `vote_frac`: a
    share goes to spans with the most votes of other layers. `every_tokens`: decoding chooses again
    after so many tokens. `positions`: distances of far tokens; `auto` is `true` inside the model's
    window and `constant` beyond. `aligned`: the index is compared as attention will compare keys,
    rotated to their places; else neither side is rotated. `refine`: spans of so many times the
    budget are candidates, and their best tokens by exact keys are read; 1: spans are read whole.
    `int8`: index vectors in 8 bits. `vote_heads`: (layer, query head) of those that vote; empty:
    all. `vote_keep`: what votes keep of their weight from token to token. `cache_tokens`: far
    tokens of each layer that stay at hand in pages, 0 for none; `cache_keep`: see `PageCache`.
    """

    far_tokens: int
    local_tokens: int
    num_sinks: int
    segmenter: Segmenter
    positions: Placing = "auto"
    choice: Choice = "spans"
    vectors: Vectors = "apart"
    most_vectors: int = 4
    static: bool = False
    joint: bool = False
    persist: float = 0.0
    persist_frac: float = 0.0
    vote_frac: float = 0.0
    vote_heads: tuple[tuple[int, int], ...] = ()
    vote_keep: float = 0.0
    aligned: bool = False
    refine: float = 1.0
    int8: bool = False
    every_tokens: int = 1
    tier: Tier = "memory"
    cache_tokens: int = 0
    cache_keep: float = 0.0
    seed: int = 0
