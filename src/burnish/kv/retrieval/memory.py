"""Memory that keeps every token, and reads for each pass those that matter to it."""

import copy
import shutil
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from burnish.contracts.kv_policy import KVShape
from burnish.kv.grouped import grouped_scores
from burnish.kv.retrieval.attend import RetrievingAttend
from burnish.kv.retrieval.cache import PageCache
from burnish.kv.retrieval.choose import filled, ranked
from burnish.kv.retrieval.index import SpanIndex, boxes_of, vectors_of
from burnish.kv.retrieval.place import Places
from burnish.kv.retrieval.plan import RetrievalPlan
from burnish.kv.retrieval.segment import LEAST_ROWS, Pending
from burnish.kv.retrieval.store import Store, return_freed_memory
from burnish.kv.retrieval.tokens import (
    Vectors,
    best_tokens,
    box_shares,
    head_votes,
    sampled,
    span_shares,
)
from burnish.kv.retrieval.votes import Votes
from burnish.kv.rope import Rope, rotate

TRIM_TOKENS = 512  # read between two times that freed memory is given back

Watch = Callable[[int, Tensor, Tensor], None]  # layer, queries, text positions `[K M]` read


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerState:
    """One layer, but for its store: nothing in it is changed in place.

    `local` are all tokens from `begin` on, before rotation; `band` is their local attention.
    `chosen` are the far tokens that the last choice gave.
    """

    sinks: Float[Tensor, "2 K R D"]
    local: Float[Tensor, "2 K T D"]
    band: Float[Tensor, "T B"]
    begin: int
    index: SpanIndex
    theta: float | None
    chosen: Int[Tensor, "K M"] | None


class RetrievingMemory:
    """Sinks, a local window and far tokens, which lie in spans outside the working set.

    Tokens leave the local window between passes, in whole spans; until then they are local, so the
    parts hold each token of the text exactly once.
    Source: Ltri-LLM, arXiv 2412.04757 (reconstruction); InfLLM, arXiv 2402.04617.
    Oracle: tests/kv/retrieval/test_memory.py::test_parts_hold_each_token_once
    """

    def __init__(self, shape: KVShape, plan: RetrievalPlan, *, folder: Path | None = None) -> None:
        self.shape, self.plan = shape, plan
        self.rope = Rope(shape.config)
        self.max_position = getattr(shape.config, "max_position_embeddings", None)
        self.watch: Watch | None = None
        self.scanned: dict[int, Tensor] = {}  # far tokens whose keys the last choice compared
        self.peak_tokens = 0  # most tokens of a layer that were at hand in one pass
        self._folder = folder
        if folder is None and plan.tier == "disk":
            self._folder = Path(tempfile.mkdtemp(prefix="burnish-kv-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        row = (2, shape.num_kv_heads, shape.head_dim)
        self.stores = [
            Store(
                row,
                shape.dtype,
                path=None if self._folder is None else layer_file(self._folder, n),
                cache=self.new_cache(),
            )
            for n in range(shape.num_layers)
        ]
        like = torch.zeros(0, dtype=shape.dtype, device=shape.device)
        empty = like.new_zeros((2, shape.num_kv_heads, 0, shape.head_dim))
        band = torch.zeros((0, plan.segmenter.band_tokens), device=shape.device)
        index = SpanIndex.empty(shape.num_kv_heads, shape.head_dim, like, int8=plan.int8)
        first = LayerState(
            sinks=empty, local=empty, band=band, begin=0, index=index, theta=None, chosen=None
        )
        self.layers = [first] * shape.num_layers
        self._surprise = np.zeros(0)
        self._num_tokens = self._num_rows = self._since_choice = 0
        self._drafted = False
        self.votes = Votes(keep=plan.vote_keep)

    def new_cache(self) -> PageCache | None:
        """An empty cache of one layer; None where the plan has none."""
        if not self.plan.cache_tokens:
            return None
        shape = self.shape
        return PageCache(
            (2, shape.num_kv_heads, shape.head_dim),
            shape.dtype,
            device=shape.device,
            num_tokens=self.plan.cache_tokens,
            keep=self.plan.cache_keep,
        )

    @property
    def num_tokens(self) -> int:
        """Tokens that were read so far."""
        return self._num_tokens

    @property
    def num_kept_tokens(self) -> int:
        """All of them."""
        return self._num_tokens

    @property
    def index_bytes(self) -> int:
        """Size of the index of all layers."""
        return sum(state.index.num_bytes for state in self.layers)

    @property
    def surprise(self) -> np.ndarray:
        """Surprise [nats] of every token; NaN where nobody told it."""
        return self._surprise

    @property
    def since_choice(self) -> int:
        """Tokens read since far tokens were chosen, while decoding."""
        return self._since_choice

    def restore(self, numbers: tuple[int, int], surprise: np.ndarray, votes: np.ndarray) -> None:
        """Set what a saved memory had: tokens read, and those since the last choice."""
        self._num_tokens, self._since_choice = numbers
        self._surprise, self.votes = surprise, self.votes.restored(votes)

    def attend(self, num_rows: int) -> RetrievingAttend:
        """Attention of the next `num_rows` tokens."""
        self._num_rows, self._drafted = num_rows, False
        self.votes, self.scanned = self.votes.opened(), {}
        return RetrievingAttend(self, num_rows)

    def places(self, num_rows: int) -> Places:
        """Where far tokens stand for the next `num_rows` tokens."""
        return Places(
            self.rope,
            (self._num_tokens, num_rows),
            positions=self.plan.positions,
            local_tokens=self.plan.local_tokens,
            max_position=self.max_position,
        )

    def attend_drafted(self, num_rows: int) -> RetrievingAttend:
        """Attention of a token and a draft behind it: far tokens are chosen by the first row.

        So they are those that the token would read alone; `accept` comes before `advance`.
        """
        attend = self.attend(num_rows)
        self._drafted = True
        return attend

    def accept(self, num_rows: int) -> None:
        """Keep the first rows of the last `attend_drafted`, as if no others had been read.

        Source: ours. Oracle: tests/kv/retrieval/test_memory.py::test_rejected_drafts_leave_no_trace
        """
        spare, self._num_rows, self._drafted = self._num_rows - num_rows, num_rows, False
        if spare:
            for layer, state in enumerate(self.layers):
                self.layers[layer] = replace(
                    state, local=state.local[:, :, :-spare], band=state.band[:-spare]
                )

    def see_surprise(self, values: np.ndarray) -> None:
        """Surprise [nats] of the rows of the last `attend`; call it before `advance`."""
        self._surprise = np.concatenate((self._surprise, values))

    def advance(self) -> None:
        """Count the rows of the last `attend` as read, and move what leaves the local window."""
        self._num_tokens += self._num_rows
        missing = self._num_tokens - len(self._surprise)
        if missing > 0:
            self._surprise = np.concatenate((self._surprise, np.full(missing, np.nan)))
        self._since_choice += self._num_rows
        if self._num_rows > 1 or self._since_choice >= self.plan.every_tokens:
            self._since_choice = 0
        self.votes = self.votes.closed(self._num_rows)
        for layer in range(len(self.layers)):
            self._let_go(layer)
        before = self._num_tokens - self._num_rows
        if self._folder is not None and before // TRIM_TOKENS < self._num_tokens // TRIM_TOKENS:
            return_freed_memory()

    def choose(
        self, layer: int, query: Float[Tensor, "N H D"], places: Places
    ) -> Int[Tensor, "K M"] | None:
        """Far tokens of a layer that a pass with these queries reads; None while there are none."""
        state, store, plan = self.layers[layer], self.stores[layer], self.plan
        query = query[:1] if self._drafted else query
        num = min(plan.far_tokens, store.num_tokens)
        if num == 0:
            return None
        heads = self.shape.num_kv_heads
        if num == store.num_tokens:
            return torch.arange(num).expand(heads, -1)
        stale = len(query) > 1 or self._since_choice == 0 or state.chosen is None
        if not stale and state.chosen is not None and state.chosen.shape[1] == num:
            return state.chosen
        if plan.choice == "tokens":
            shares = self.far_scores(layer, query, places).float().softmax(-1).sum((1, 2))
            chosen = shares.topk(num, dim=-1).indices.sort(-1).values.cpu()
        elif plan.choice == "spans" and plan.aligned:
            chosen = self._by_shares(layer, query, places, num)
        else:
            chosen = self._by_spans(layer, query, num)
        self.layers[layer] = replace(self.layers[layer], chosen=chosen)
        if plan.vote_frac:
            self._vote(layer, query)
        return chosen

    def _by_spans(self, layer: int, query: Tensor, num: int) -> Tensor:
        """Whole spans, by keys that are not rotated."""
        plan, index = self.plan, self.layers[layer].index
        if plan.choice == "random":
            seed = (plan.seed, layer, self._num_tokens)
            fresh = np.random.default_rng(seed).random((self.shape.num_kv_heads, index.num_spans))
        else:
            told = index.scores(plan, query)
            self._persist(layer, told)
            fresh = told.float().cpu().numpy()
        rows = []
        for head, own in enumerate(fresh):
            shares = self._kept_shares(layer, head, num)
            votes = self.votes.of_spans(index.starts, index.lengths) if plan.vote_frac else None
            if votes is not None:
                shares.append((votes, int(plan.vote_frac * num)))
            order = ranked(own, index.lengths, shares)
            rows.append(filled(order, index.starts, index.lengths, num))
        return torch.from_numpy(np.stack(rows))

    def _persist(self, layer: int, told: Float[Tensor, "K spans"]) -> None:
        if self.plan.persist_frac:
            index = self.layers[layer].index
            kept = replace(index, kept=self.plan.persist * index.kept + told.float())
            self.layers[layer] = replace(self.layers[layer], index=kept)

    def _kept_shares(self, layer: int, head: int, num: int) -> list[tuple[np.ndarray, int]]:
        if not self.plan.persist_frac:
            return []
        kept = self.layers[layer].index.kept[head].cpu().numpy()
        return [(kept, int(self.plan.persist_frac * num))]

    def _by_shares(self, layer: int, query: Tensor, places: Places, num: int) -> Tensor:
        """Spans by estimated attention; with `refine`, the best tokens of the best spans."""
        plan, index, store = self.plan, self.layers[layer].index, self.stores[layer]
        first = self.layers[layer].sinks.shape[2]
        query, rows = self._sampled(query, index)
        far = places.far_queries(query, rows)
        if plan.vectors == "bounds":
            sides = index.boxes()[2:] if places.kind == "true" else index.boxes()[:2]
            told = box_shares(far, *sides)
        else:

            def load(begin: int, end: int) -> Tensor:
                at = (index.token[begin:end] + first).expand(len(index.vectors), -1)
                return places.far_keys(index.keys(query.dtype, begin, end), at)

            vectors = Vectors(num=len(index.owner), load=load)
            told = span_shares(far, vectors, index.owner, index.lengths)
        self._persist(layer, told)
        voted = self.votes.best(store.num_tokens, int(plan.vote_frac * num))
        wide = min(store.num_tokens, int(plan.refine * num))
        found, sure = [], []
        for head, own in enumerate(told.float().cpu().numpy()):
            order = ranked(own, index.lengths, ())
            found.append(filled(order, index.starts, index.lengths, wide))
            kept = voted
            for scores, share in self._kept_shares(layer, head, num):
                best = ranked(scores, index.lengths, ())
                kept = np.union1d(kept, filled(best, index.starts, index.lengths, share))
            sure.append(kept[:num])
        candidates = torch.from_numpy(np.stack(found))
        if plan.refine == 1 and not len(voted) and not plan.persist_frac:
            return candidates
        self.scanned[layer] = candidates
        keys = places.far_keys(store.gather_keys(candidates).to(query.device), candidates + first)
        return best_tokens(far, keys, candidates, sure, num)

    def _sampled(self, query: Tensor, index: SpanIndex) -> tuple[Tensor, Tensor]:
        picked = sampled(len(query), len(index.owner)).to(query.device)
        return query[picked], picked + self._num_tokens

    def _vote(self, layer: int, query: Tensor) -> None:
        index, heads = self.layers[layer].index, self.plan.vote_heads
        own = [head for place, head in heads if place == layer]
        if heads and not own:
            return
        rows = self._sampled(query, index)[0]
        keys = Vectors(num=len(index.owner), load=lambda a, b: index.keys(query.dtype, a, b))
        votes = head_votes(rows, keys, index.owner, index.lengths)
        votes = votes[own] if heads else votes
        self.votes = self.votes.with_votes(votes.sum(0).cpu().numpy(), len(votes))

    def far_scores(
        self, layer: int, query: Float[Tensor, "N H D"], places: Places
    ) -> Float[Tensor, "K G N T"]:
        """Scores of all far tokens, by their keys: what no index can beat."""
        keys, first = self.stores[layer].keys().to(query.device), self.plan.num_sinks
        rows = torch.arange(self._num_tokens, self._num_tokens + len(query), device=query.device)
        at = torch.arange(first, first + keys.shape[1], device=query.device)
        turned = places.far_keys(keys, at.expand(len(keys), -1))
        return grouped_scores(places.far_queries(query, rows), turned)

    def _let_go(self, layer: int) -> None:
        plan, state = self.plan, self.layers[layer]
        if not state.sinks.shape[2] and plan.num_sinks:
            if self._num_tokens - plan.local_tokens < plan.num_sinks:
                return
            state = replace(
                state,
                sinks=state.local[:, :, : plan.num_sinks],
                local=state.local[:, :, plan.num_sinks :],
                band=state.band[plan.num_sinks :],
                begin=plan.num_sinks,
            )
        self.layers[layer] = state
        num = self._num_tokens - plan.local_tokens - state.begin
        if num < plan.segmenter.batch_tokens:
            return
        theta = state.theta
        look = num + plan.segmenter.band_tokens
        if theta is None:
            look = max(look, LEAST_ROWS)
            theta = plan.segmenter.calibrated(state.band[:look].cpu().numpy())
        band = state.band[:look].cpu().numpy()
        pending = Pending(
            band=band,
            num_tokens=num,
            theta=theta,
            surprise=self._surprise[state.begin : state.begin + look],
            seed=plan.seed * 1_000_003 + layer * 1009 + state.begin,
        )
        bounds = plan.segmenter.cut(pending)
        end = bounds[-1][1] if bounds else 0
        if end == 0:
            return
        left = state.local[:, :, :end]
        if plan.vectors == "bounds":
            at = torch.arange(state.begin, state.begin + end, device=left.device)
            turned = rotate(left[0].transpose(0, 1), self.rope.at(at, left.dtype)).transpose(0, 1)
            vectors, tokens = boxes_of(left[0], turned, bounds)
        else:
            vectors, tokens = vectors_of(plan, left[0], bounds, band, theta)
        self.stores[layer].append(left.permute(2, 0, 1, 3))
        self.layers[layer] = replace(
            state,
            local=state.local[:, :, end:].clone(),
            band=state.band[end:].clone(),
            begin=state.begin + end,
            index=state.index.extended(bounds, vectors, tokens),
            theta=theta,
        )

    def mark(self) -> Any:
        """The present state."""
        sizes = [store.num_tokens for store in self.stores]
        numbers = (self._num_tokens, self._since_choice, self._surprise, self.votes)
        return list(self.layers), sizes, numbers

    def rewind(self, mark: Any) -> None:
        """Return to a mark."""
        layers, sizes, numbers = mark
        self.layers = list(layers)
        self._num_tokens, self._since_choice, self._surprise, self.votes = numbers
        for store, size in zip(self.stores, sizes, strict=True):
            store.truncate(size)

    def fork(self) -> "RetrievingMemory":
        """An independent memory in the same state; a file is shared, and written by none."""
        other = copy.copy(self)
        other.layers = list(self.layers)
        other.stores = [store.fork() for store in self.stores]
        return other


def layer_file(folder: Path, layer: int) -> Path:
    """Where the far tokens of a layer lie."""
    return folder / f"layer-{layer:03d}.kv"
