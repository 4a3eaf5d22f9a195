"""`burnish stream calibrate`: which heads find by content the answer to a question."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from burnish.base.errors import SettingError
from burnish.base.progress import say
from burnish.base.rng import stream
from burnish.base.stats import bootstrap
from burnish.data.corpora import parse_corpus
from burnish.engine.policies import CHUNK_ROWS, read_rows, shape_of
from burnish.kv.policies import kv_policies
from burnish.kv.retrieval.memory import RetrievingMemory
from burnish.kv.retrieval.tokens import Vectors, head_votes
from burnish.models.handle import ModelHandle
from burnish.stream.needles import Needle, draw_haystack
from burnish.stream.reading import check_decoder, retrieving_policy

FAR_TOKENS = 1024  # that are read while heads are tried


@dataclass(frozen=True, kw_only=True)
class CalibrateSettings:
    """Heads are tried on `texts` of `length` tokens with `needles` planted sentences each.

    The `heads` that find most of a sentence among the `votes` tokens [tokens] that a head likes
    best are named. The last text only tells how well they vote together.
    """

    model: str = "smollm2-135m"
    length: int = 3072
    texts: int = 2
    needles: int = 20
    tail: int = 1024
    votes: int = 256
    heads: int = 10
    corpus: str = "stdlib"
    precision: str = "auto"
    device: str = "auto"
    seed: int = 7

    def __post_init__(self) -> None:
        for name, least in (("length", 2), ("texts", 2), ("needles", 2), ("tail", 0), ("votes", 1),
                            ("heads", 1)):  # fmt: skip
            value = getattr(self, name)
            if value < least:
                raise SettingError(name, value, f"must be at least {least}", remedy="Raise it")


@torch.inference_mode()
def calibrate_heads(settings: CalibrateSettings) -> dict[str, Any]:
    """The heads whose votes find planted sentences best, as `vote_heads` of a policy.

    Source: ours; retrieval heads are those of arXiv 2404.15574, which counts copied tokens instead.
    Departure: a head is judged by what its votes by content bring back, not by what it copies.
    Oracle: tests/stream/test_retrieval_heads.py::test_a_planted_head_is_found
    """
    parse_corpus(settings.corpus)
    handle = ModelHandle(settings.model, precision=settings.precision, device=settings.device)
    model = handle.model
    check_decoder(model)
    most = model.decoder.shape.num_layers * model.decoder.shape.num_heads
    if settings.heads > most:
        rule, remedy = f"must be at most {most}, those of the model", "10 is usual"
        raise SettingError("heads", settings.heads, rule, remedy=remedy)
    policy = retrieving_policy("triangle-dp:vote_frac=0", FAR_TOKENS)
    found, best = list[np.ndarray](), list[tuple[int, int]]()
    for number in range(settings.texts):
        text = draw_haystack(model.tokenizer, settings, number)
        memory = policy.open(shape_of(model))
        for begin in range(0, len(text.ids), CHUNK_ROWS):
            read_rows(model.decoder, [memory], [text.ids[begin : begin + CHUNK_ROWS]])
        last = number == settings.texts - 1
        if last:
            best = best_heads(np.concatenate(found), settings.heads)
        rows = [
            recalls(
                votes_after(model, memory, needle), needle, policy.num_sinks, settings.votes, best
            )
            for needle in text.needles
        ]
        found.append(np.stack(rows))
        say(f"text {number + 1} of {settings.texts}")
    spec = "+".join(f"{layer}.{head}" for layer, head in best)
    return {
        "model": settings.model,
        "vote_heads": spec,
        "policy": kv_policies.spec(kv_policies.parse(f"triangle-dp:vote_heads={spec}")),
        "recall": bootstrap(found[-1], rng=stream(settings.seed, "calibrate")).to_dict(),
        "votes": settings.votes,
    }


def best_heads(found: np.ndarray, num: int) -> list[tuple[int, int]]:
    """The heads of largest mean recall `[needles L H]`, best first.

    Source: ours. Oracle: tests/stream/test_retrieval_heads.py::test_a_planted_head_is_found
    """
    means = found.mean(0)
    order = np.argsort(-means, axis=None, kind="stable")[:num]
    return [(int(i) // means.shape[1], int(i) % means.shape[1]) for i in order]


def votes_after(model: Any, memory: RetrievingMemory, needle: Needle) -> list[Tensor]:
    """Votes `[H T]` of each layer's heads by the rows of a question; the memory is as before."""
    queries: list[Tensor] = [torch.zeros(0)] * len(memory.layers)

    def watch(layer: int, query: Tensor, at: Tensor) -> None:
        queries[layer] = query

    mark = memory.mark()
    memory.watch = watch
    read_rows(model.decoder, [memory], [needle.question])
    memory.watch = None
    memory.rewind(mark)
    found = []
    for query, state in zip(queries, memory.layers, strict=True):
        index = state.index
        keys = index.keys(query.dtype)
        found.append(head_votes(query, Vectors.of(keys), index.owner, index.lengths))
    return found


def recalls(
    votes: list[Tensor],
    needle: Needle,
    num_sinks: int,
    num: int,
    heads: list[tuple[int, int]],
) -> np.ndarray:
    """Share of the needle among the `num` tokens that each head likes best, `[L H]`.

    With `heads`: that of their sum, one number.
    """
    wanted = np.concatenate([np.arange(*place) for place in needle.places]) - num_sinks
    if heads:
        size = min(len(own[0]) for own in votes)
        none = votes[0].new_zeros(size)
        votes = [sum((votes[layer][head, :size] for layer, head in heads), none)[None]]
    rows = []
    for own in votes:
        top = own.topk(min(num, own.shape[1]), dim=-1).indices.cpu().numpy()
        rows.append([np.isin(wanted, row).mean() for row in top])
    return np.array(rows[0][0] if heads else rows)
