"""The maps' guesses after many anchors of known texts, for training and measuring."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from burnish.contracts.drafter import Riders
from burnish.draft.candidates import MATCH, lookup
from burnish.draft.groups import GroupAttend, TextAttend
from burnish.draft.maps import Maps, medusa_states
from burnish.draft.passes import enter, through, weights_of
from burnish.draft.ranks import MISSED, Ranks
from burnish.draft.streams import Streams
from burnish.kv.rope import Rope
from burnish.models.decoder import Decoder

LONGEST_CHAIN = 16  # that a planner may ask about


@dataclass(frozen=True, kw_only=True)
class Places:
    """Anchors in some texts: `rows[b]` are rows of the streams, in text `texts[b]`."""

    texts: Sequence[int]
    rows: Sequence[Tensor]

    @property
    def flat(self) -> Int[Tensor, " N"]:
        """All anchor rows."""
        return torch.cat(list(self.rows))


def all_places(streams: Streams, texts: Sequence[int]) -> Places:
    """Every anchor of some texts."""
    return Places(texts=texts, rows=[torch.tensor(list(streams.anchors(i))) for i in texts])


def tokens_of(streams: Streams) -> Int[Tensor, " N"]:
    """The token of every row."""
    return torch.tensor([t for text in streams.texts for t in (*text.prompt, *text.answer)])


def ends_of(streams: Streams, places: Places) -> Int[Tensor, " N"]:
    """For each anchor, the row after its text's last one."""
    ends = [*streams.begins, len(streams.final)][1:]
    counts = torch.tensor([len(rows) for rows in places.rows])
    return torch.tensor([ends[i] for i in places.texts]).repeat_interleave(counts)


def firp_states(
    decoder: Decoder, riders: Riders, streams: Streams, places: Places
) -> Float[Tensor, "*N d"]:
    """Last hidden states `[k, N, d]` of the pseudo states of all anchors.

    Source: FIRP, arXiv 2410.20488 (reconstruction).
    Oracle: tests/draft/test_groups.py::test_groups_equal_decoding
    """
    device, rope = riders.weight.device, Rope(decoder.config)
    windows = decoder.shape.windows
    cuts = [*sorted(set(riders.entries)), decoder.shape.num_layers]
    real = _read(decoder, streams, places, cuts[0], riders.weight)
    flat = places.flat
    maps = [partial(F.linear, weight=w, bias=b) for w, b in weights_of(riders)]
    after = decoder.model.embed_tokens(tokens_of(streams)[flat + 1].to(device))
    begins = [streams.begins[i] for i in places.texts]
    anchors = [rows - begin for rows, begin in zip(places.rows, begins, strict=True)]
    states, num_active = after.new_empty(0, after.shape[1]), 0
    for first, last in itertools.pairwise(cuts):
        both = torch.cat((streams.layers[first][flat].to(device, after.dtype), states))
        both, num_active = enter(riders, maps, both, len(flat), num_active, first, after)
        attend = GroupAttend(real, anchors, num_active, rope, windows, cross=riders.cross)
        states = through(decoder, both[len(flat) :], attend, first, last)
    return states.view(num_active, len(flat), -1)


@torch.no_grad()
def _read(
    decoder: Decoder, streams: Streams, places: Places, first: int, like: Tensor
) -> TextAttend:
    """Run the real rows of some texts from layer `first` on, for their keys and values."""
    sizes = [len(streams.texts[i].prompt) + len(streams.texts[i].answer) for i in places.texts]
    spans = zip(places.texts, sizes, strict=True)
    rows = torch.cat([streams.layers[first][streams.begins[i] :][:n] for i, n in spans])
    attend = TextAttend(sizes, Rope(decoder.config), decoder.shape.windows)
    through(decoder, rows.to(like), attend, first, decoder.shape.num_layers)
    return attend


@torch.inference_mode()
def measure_ranks(
    decoder: Decoder, maps: Maps, head: Tensor, streams: Streams, texts: Sequence[int]
) -> Ranks:
    """The rank of the right token for every anchor and offset of some texts.

    `head` are the head's rows of the draft vocabulary.
    Source: ours. Oracle: tests/draft/test_ranks.py::test_replay_equals_decoding
    """
    place_of = torch.full((int(maps.vocabulary.max()) + 1,), -1)
    place_of[maps.vocabulary.long()] = torch.arange(len(maps.vocabulary))
    tokens, values, lengths = tokens_of(streams), [], []
    riders = maps.riders(head.dtype, head.device, num=maps.num_offsets, passes="two")
    for index in texts:
        places = all_places(streams, [index])
        lengths.append(len(places.flat))
        if not lengths[-1]:
            continue
        if maps.kind == "firp":
            states = firp_states(decoder, riders, streams, places)
        else:
            assert riders.bias is not None  # Medusa's maps have one
            states = medusa_states(streams.final[places.flat].to(head), riders.weight, riders.bias)
        at = places.flat + torch.arange(1, maps.num_offsets + 1)[:, None] + 1
        right = tokens[at.clamp(max=len(tokens) - 1)]
        known = (at < ends_of(streams, places)) & (right < len(place_of))
        spot = torch.where(known, place_of[right.clamp(max=len(place_of) - 1)], -1)
        values.append(_rank(states @ head.T, spot.to(head.device)).T.cpu())
    lookup = measure_lookup(streams, texts)
    return Ranks(values=torch.cat(values), lengths=lengths, lookup=lookup)


def measure_lookup(streams: Streams, texts: Sequence[int]) -> Tensor:
    """For each anchor how many tokens of a looked-up chain are right; `MISSED` without a match.

    Source: ours. Oracle: tests/draft/test_ranks.py::test_replay_with_lookup_equals_decoding
    """
    found = []
    for index in texts:
        text = streams.texts[index]
        tokens, begin = [*text.prompt, *text.answer], streams.begins[index]
        for row in streams.anchors(index):
            known = row - begin + 2  # the anchor and the bonus token behind it
            chain = lookup(tokens[:known], LONGEST_CHAIN, **MATCH)
            pairs = zip(chain, tokens[known:], strict=False)
            right = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
            found.append(right if chain else MISSED)
    return torch.tensor(found, dtype=torch.uint8)


def _rank(logits: Tensor, spot: Tensor) -> Tensor:
    """How many logits beat that at `spot`, in the order in which `topk` breaks ties."""
    own = logits.gather(-1, spot.clamp(min=0)[..., None])
    rank = (logits > own).sum(-1).clamp(max=MISSED)
    return torch.where(spot >= 0, rank, MISSED).to(torch.uint8)
