"""Passes over drafts: nodes through all layers, pseudo states from their entry layers on."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from burnish.contracts.attention import Attend
from burnish.contracts.drafter import Draft, Riders
from burnish.draft.attend import tree_attend
from burnish.draft.layout import Layout, make_group_layout, make_layout, path_to, shapes_of
from burnish.engine.replay import Replays
from burnish.kv.dense import DenseCache
from burnish.kv.rope import Rope
from burnish.models.decoder import Decoder
from burnish.models.products import make_product

MOST_LAYOUTS = 512  # kept; a layout is a few kilobytes


@dataclass(frozen=True, kw_only=True)
class Passed:
    """The results of one pass over drafts; rows are nodes, text by text.

    `streams[t]` is the stream of the nodes before layer t, for the entry layers of a second pass.
    `pseudo` `[N, k, d]` are last hidden states of each node's pseudo states.
    """

    begins: list[int]  # first row of each text
    final: Float[Tensor, "N d"]
    logits: Float[Tensor, "N V"]
    pseudo: Tensor | None
    streams: dict[int, Tensor]


class Passes:
    """The decoder over the slots of a dense cache."""

    def __init__(self, decoder: Decoder, cache: DenseCache, riders: Riders | None) -> None:
        self._decoder, self._cache, self._riders = decoder, cache, riders
        self._device, self.replays = cache.cells.device, Replays.on(cache.cells.device)
        self._rope, self._layouts = Rope(decoder.config), dict[tuple, Layout]()
        self._maps = [make_product(*one) for one in weights_of(riders)] if riders else []
        self._ride = riders.num_offsets if riders and riders.passes == "one" else 0
        self._kept = sorted(set(riders.entries)) if riders and not self._ride else []

    @torch.inference_mode()
    def verify(self, drafts: Sequence[Draft]) -> Passed:
        """Run every node of every draft, with its pseudo states where they ride along.

        The cache's lengths stay: `commit` says which nodes were right.
        Source: FIRP, arXiv 2410.20488 (reconstruction); trees: SpecInfer, arXiv 2305.09781.
        Oracle: tests/draft/test_passes.py::test_paths_equal_separate_runs
        """
        shapes, lengths = shapes_of(drafts), self._cache.lengths[: len(drafts)]
        layout = self._layout((shapes, self._ride))
        longest = max(lengths) + layout.num_cells
        span = self.replays.span(longest, self._cache.capacity_tokens)
        ids = torch.tensor([t for draft in drafts for t in draft.tokens], device=self._device)
        starts = torch.tensor(lengths, device=self._device)
        run = partial(self._nodes, layout, lengths, span)
        final, logits, pseudo, *kept = self.replays(("verify", shapes, span), run, ids, starts)
        return Passed(
            begins=[0, *itertools.accumulate(len(draft.tokens) for draft in drafts)][:-1],
            final=final,
            logits=logits,
            pseudo=pseudo if self._ride else None,
            streams=dict(zip(self._kept, kept, strict=True)),
        )

    def _nodes(
        self, layout: Layout, lengths: Sequence[int], span: int | None, ids: Tensor, starts: Tensor
    ) -> list[Tensor]:
        """Last states, logits and pseudo states of the nodes, and their streams at the entries."""
        windows, num_layers = self._decoder.shape.windows, self._decoder.shape.num_layers
        attend = tree_attend(
            self._cache, layout, lengths, self._rope, windows, starts=starts, span_tokens=span
        )  # may be called with the first rows only: the nodes
        rows, num_active, kept = self._decoder.model.embed_tokens(ids), 0, list[Tensor]()
        cuts = sorted(set(self._riders.entries)) if self._riders else []
        for first, last in itertools.pairwise([0, *cuts, num_layers]):
            if first in self._kept:
                kept.append(rows)
            if self._ride and self._riders and first in cuts:
                rows, num_active = enter(
                    self._riders, self._maps, rows, len(ids), num_active, first
                )
            rows = through(self._decoder, rows, attend, first, last)
        pseudo = rows[len(ids) :].view(num_active, len(ids), rows.shape[1]).transpose(0, 1)
        return [rows[: len(ids)], self._decoder.head(rows[: len(ids)]), pseudo, *kept]

    @torch.inference_mode()
    def guess(self, streams: dict[int, Tensor], next_tokens: Sequence[int]) -> Tensor:
        """The second of two passes: last hidden states `[B, k, d]` of pseudo states.

        `streams` are those of the last token in the cache of every text, `next_tokens` what
        follows it. Nothing stays in the cache.
        Source: ours. Oracle: tests/draft/test_passes.py::test_two_passes_equal_one
        """
        riders = self._riders
        assert riders is not None
        num_texts = len(next_tokens)
        after = self._decoder.model.embed_tokens(torch.tensor(next_tokens, device=self._device))
        cuts = [*sorted(set(riders.entries)), self._decoder.shape.num_layers]
        rows = streams[cuts[0]].new_empty(0, after.shape[-1])
        num_active = 0
        for first, last in itertools.pairwise(cuts):
            both = torch.cat((streams[first], rows))
            both, num_active = enter(riders, self._maps, both, num_texts, num_active, first, after)
            rows = both[num_texts:]
            layout, lengths = self._layout((num_texts, num_active)), self._cache.lengths[:num_texts]
            windows = self._decoder.shape.windows
            attend = tree_attend(self._cache, layout, lengths, self._rope, windows)
            rows = through(self._decoder, rows, attend, first, last)
        return rows.view(num_active, num_texts, -1).transpose(0, 1)

    def commit(self, slot: int, draft: Draft, path: Sequence[int]) -> None:
        """Keep the nodes of a path from the root on behind the text; forget all others.

        Source: ours. Oracle: tests/draft/test_passes.py::test_cache_equals_a_prefill
        """
        assert list(path) == path_to(draft.parents, path[-1])
        start = self._cache.lengths[slot]
        moved = [(node, depth) for depth, node in enumerate(path) if node != depth]
        if moved:
            own = self._cache.cells[:, :, slot]
            first, end = start + moved[0][1], start + len(path)
            own[..., first:end, :] = own[..., [start + node for node, _ in moved], :]
        self._cache.lengths[slot] = start + len(path)

    def _layout(self, key: tuple) -> Layout:
        """Rows of this shape: drafts, or pseudo states behind the texts alone."""
        layout = self._layouts.get(key)
        if layout is None:
            cross = self._riders is None or self._riders.cross
            make = make_layout if isinstance(key[0], tuple) else make_group_layout
            if len(self._layouts) >= MOST_LAYOUTS:
                self._layouts.clear()
            layout = self._layouts[key] = make(*key, cross=cross).to(self._device)
        return layout


def through(
    decoder: Decoder, rows: Float[Tensor, "N d"], attend: Attend, first: int, last: int
) -> Float[Tensor, "N d"]:
    """Run rows of the stream through layers `first` up to, not including, `last`."""
    unused = torch.zeros(len(rows), dtype=torch.long, device=rows.device)
    return decoder.hidden(unused, attend, first_layer=first, last_layer=last, rows=rows)


def weights_of(riders: Riders) -> list[tuple[Tensor, Tensor | None]]:
    """Weight and bias of each offset."""
    biases = [None] * riders.num_offsets if riders.bias is None else riders.bias
    return list(zip(riders.weight, biases, strict=False))


def enter(
    riders: Riders,
    maps: Sequence[Callable[[Tensor], Tensor]],
    rows: Float[Tensor, "N d"],
    num_anchors: int,
    num_active: int,
    layer: int,
    after: Float[Tensor, "B d"] | None = None,
) -> tuple[Float[Tensor, "R d"], int]:
    """Append the pseudo states that enter before a layer; the new rows and how many are active.

    Source: FIRP, arXiv 2410.20488, abstract: "trainable linear projection" (reconstruction).
    Oracle: tests/draft/test_passes.py::test_injected_states_give_the_real_logits
    """
    states = [rows]
    source = rows[:num_anchors]
    while num_active < riders.num_offsets and riders.entries[num_active] == layer:
        if riders.source == "previous" and num_active:
            source = torch.cat(states)[-num_anchors:]
        features = (
            source if after is None or not riders.knows_next else torch.cat((source, after), -1)
        )
        states.append(maps[num_active](features))
        num_active += 1
    return torch.cat(states), num_active
