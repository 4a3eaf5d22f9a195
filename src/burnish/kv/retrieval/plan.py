"""What a retrieving memory does: how it cuts, indexes, chooses and places far tokens."""

from dataclasses import dataclass
from typing import Literal

from burnish.kv.retrieval.segment import Segmenter

Choice = Literal["spans", "tokens", "random"]
Vectors = Literal["apart", "averaged", "bounds"]
Placing = Literal["auto", "true", "packed", "constant"]
Tier = Literal["memory", "disk"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All settings of a retrieving memory, made by a policy.

    `choice`: by scores of spans, by exact scores of tokens (the oracle), or at random. `vectors`:
    keys kept apart, their average, or least and largest cells. `static`: always `most_vectors` keys
    a span. `joint`: one choice for all heads of a layer, by the mean query. `persist` (gamma) and
    `persist_frac` (rho): a share of the budget for spans that were wanted before. `vote_frac`: a
    share goes to spans with the most votes of other layers. `every_tokens`: decoding chooses again
    after so many tokens. `positions`: distances of far tokens; `auto` is `true` inside the model's
    window and `constant` beyond.
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
    every_tokens: int = 1
    tier: Tier = "memory"
    seed: int = 0
