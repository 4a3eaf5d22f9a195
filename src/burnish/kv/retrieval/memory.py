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
from burnish.kv.retrieval.attend import RetrievingAttend
from burnish.kv.retrieval.choose import filled, ranked
from burnish.kv.retrieval.index import SpanIndex, vectors_of
from burnish.kv.retrieval.plan import Plan
from burnish.kv.retrieval.segment import LEAST_ROWS, Pending
from burnish.kv.retrieval.store import Store
from burnish.kv.rope import Rope

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

    def __init__(self, shape: KVShape, plan: Plan, *, folder: Path | None = None) -> None:
        self.shape, self.plan = shape, plan
        self.rope = Rope(shape.config)
        self.max_position = getattr(shape.config, "max_position_embeddings", None)
        self.watch: Watch | None = None
        self.peak_tokens = 0  # most tokens of a layer that were at hand in one pass
        self._folder = folder
        if folder is None and plan.tier == "disk":
            self._folder = Path(tempfile.mkdtemp(prefix="burnish-kv-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        row = (2, shape.num_kv_heads, shape.head_dim)
        self.stores = [
            Store(
                row, shape.dtype, path=None if self._folder is None else layer_file(self._folder, n)
            )
            for n in range(shape.num_layers)
        ]
        like = torch.zeros(0, dtype=shape.dtype, device=shape.device)
        empty = like.new_zeros((2, shape.num_kv_heads, 0, shape.head_dim))
        band = torch.zeros((0, plan.segmenter.band_tokens), device=shape.device)
        index = SpanIndex.empty(shape.num_kv_heads, shape.head_dim, like)
        first = LayerState(
            sinks=empty, local=empty, band=band, begin=0, index=index, theta=None, chosen=None
        )
        self.layers = [first] * shape.num_layers
        self._surprise = np.zeros(0)
        self._num_tokens = self._num_rows = self._since_choice = 0
        self._votes = self._new_votes = np.zeros(0)

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

    def restore(self, num_tokens: int, since_choice: int, surprise: np.ndarray) -> None:
        """Set the numbers of a saved memory."""
        self._num_tokens, self._since_choice, self._surprise = num_tokens, since_choice, surprise

    def attend(self, num_rows: int) -> RetrievingAttend:
        """Attention of the next `num_rows` tokens."""
        self._num_rows = num_rows
        self._new_votes = np.zeros(max((s.num_tokens for s in self.stores), default=0))
        return RetrievingAttend(self, num_rows)

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
        self._votes = self._new_votes
        for layer in range(len(self.layers)):
            self._let_go(layer)

    def choose(self, layer: int, query: Float[Tensor, "N H D"]) -> Int[Tensor, "K M"] | None:
        """Far tokens of a layer that a pass with these queries reads; None while there are none."""
        state, store = self.layers[layer], self.stores[layer]
        num = min(self.plan.far_tokens, store.num_tokens)
        if num == 0:
            return None
        heads = self.shape.num_kv_heads
        if num == store.num_tokens:
            return torch.arange(num).expand(heads, -1)
        stale = len(query) > 1 or self._since_choice == 0 or state.chosen is None
        if not stale and state.chosen.shape[1] == num:
            return state.chosen
        if self.plan.choice == "tokens":
            chosen = self._exact(layer, query, num)
        else:
            chosen = self._by_spans(layer, query, num)
        self.layers[layer] = replace(self.layers[layer], chosen=chosen)
        if self.plan.vote_frac:
            np.add.at(self._new_votes, chosen.flatten().numpy(), 1.0)
        return chosen

    def _by_spans(self, layer: int, query: Tensor, num: int) -> Tensor:
        plan, index = self.plan, self.layers[layer].index
        if plan.choice == "random":
            seed = (plan.seed, layer, self._num_tokens)
            fresh = np.random.default_rng(seed).random((self.shape.num_kv_heads, index.num_spans))
        else:
            told = index.scores(plan, query)
            if plan.persist_frac:
                kept = plan.persist * index.kept + told.float()
                self.layers[layer] = replace(self.layers[layer], index=replace(index, kept=kept))
            fresh = told.float().cpu().numpy()
        rows = []
        for head, own in enumerate(fresh):
            shares = []
            if plan.persist_frac:
                kept = self.layers[layer].index.kept[head].cpu().numpy()
                shares.append((kept, int(plan.persist_frac * num)))
            if plan.vote_frac and (votes := self._span_votes(index)) is not None:
                shares.append((votes, int(plan.vote_frac * num)))
            order = ranked(own, index.lengths, shares)
            rows.append(filled(order, index.starts, index.lengths, num))
        return torch.from_numpy(np.stack(rows))

    def _span_votes(self, index: SpanIndex) -> np.ndarray | None:
        """Mean votes of a span's tokens: of lower layers in this pass, of all in the last."""
        size = int(index.starts[-1] + index.lengths[-1])
        votes = np.zeros(size)
        for given in (self._votes, self._new_votes):
            votes[: min(size, len(given))] += given[:size]
        if not votes.any():
            return None
        sums = np.concatenate(([0.0], np.cumsum(votes)))
        return (sums[index.starts + index.lengths] - sums[index.starts]) / index.lengths

    def _exact(self, layer: int, query: Tensor, num: int) -> Tensor:
        """The far tokens of largest attention, by all their keys: what no index can beat."""
        keys = self.stores[layer].keys().to(query.device)
        attend = RetrievingAttend(self, len(query))
        shares = attend.far_scores(query, keys).float().softmax(-1).sum((1, 2))
        return shares.topk(num, dim=-1).indices.sort(-1).values.cpu()

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
        vectors = vectors_of(plan, left[0], bounds, band, theta)
        self.stores[layer].append(left.permute(2, 0, 1, 3))
        self.layers[layer] = replace(
            state,
            local=state.local[:, :, end:].clone(),
            band=state.band[end:].clone(),
            begin=state.begin + end,
            index=state.index.extended(bounds, vectors),
            theta=theta,
        )

    def mark(self) -> Any:
        """The present state."""
        sizes = [store.num_tokens for store in self.stores]
        numbers = (self._num_tokens, self._since_choice, self._surprise, self._votes)
        return list(self.layers), sizes, numbers

    def rewind(self, mark: Any) -> None:
        """Return to a mark."""
        layers, sizes, numbers = mark
        self.layers = list(layers)
        self._num_tokens, self._since_choice, self._surprise, self._votes = numbers
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
