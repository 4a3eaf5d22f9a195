"""The index of one layer's spans: what of each span is compared with queries."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Int8, Shaped
from torch import Tensor

from burnish.kv.retrieval.choose import best_products, bound_products, normalised, of_spans
from burnish.kv.retrieval.plan import RetrievalPlan
from burnish.kv.retrieval.spans import Bounds, in_triangle_mass


@dataclass(frozen=True, kw_only=True, eq=False)
class SpanIndex:
    """Spans of a layer and their vectors (keys before rotation). Never changed in place.

    `starts` and `lengths` count far tokens; `owner[v]` is the span of vector v and `token[v]` its
    far token; `kept` is what persistent recall remembers of each head's spans. Vectors in 8 bits
    have `scales`, others none.
    """

    starts: np.ndarray
    lengths: np.ndarray
    owner: Int[Tensor, " vectors"]
    token: Int[Tensor, " vectors"]
    vectors: Shaped[Tensor, "K vectors D"]
    scales: Float[Tensor, "K vectors"] | None
    kept: Float[Tensor, "K spans"]

    @classmethod
    def empty(
        cls, num_heads: int, head_dim: int, like: Tensor, *, int8: bool = False
    ) -> "SpanIndex":
        """No spans."""
        none = np.zeros(0, dtype=np.int64)
        owner = torch.zeros(0, dtype=torch.long, device=like.device)
        vectors = like.new_zeros((num_heads, 0, head_dim))
        scales = vectors[..., 0] if int8 else None
        return cls(
            starts=none,
            lengths=none,
            owner=owner,
            token=owner,
            vectors=vectors.to(torch.int8) if int8 else vectors,
            scales=scales,
            kept=torch.zeros((num_heads, 0), device=like.device),
        )

    @property
    def num_spans(self) -> int:
        """Spans held."""
        return len(self.starts)

    @property
    def num_bytes(self) -> int:
        """Size of all that it holds."""
        arrays = (self.starts, self.lengths, self.owner, self.token, self.vectors, self.kept)
        return sum(x.nbytes for x in arrays) + (0 if self.scales is None else self.scales.nbytes)

    def extended(self, bounds: Bounds, vectors: list[Tensor], tokens: np.ndarray) -> "SpanIndex":
        """With more spans, `[K m D]` vectors each, of those tokens.

        Bounds and tokens count from the last far token on.
        """
        at = int(self.starts[-1] + self.lengths[-1]) if self.num_spans else 0
        whole, scales = torch.cat(vectors, dim=1), self.scales
        if scales is not None:
            whole, own = quantised(whole)
            scales = torch.cat((scales, own.to(scales.dtype)), dim=1)
        sizes = torch.tensor([v.shape[1] for v in vectors])
        owner = torch.arange(len(bounds)).repeat_interleave(sizes) + self.num_spans
        new = np.array(bounds, dtype=np.int64)
        return replace(
            self,
            starts=np.concatenate((self.starts, new[:, 0] + at)),
            lengths=np.concatenate((self.lengths, new[:, 1] - new[:, 0])),
            owner=torch.cat((self.owner, owner.to(self.owner.device))),
            token=torch.cat((self.token, torch.from_numpy(tokens + at).to(self.token.device))),
            vectors=torch.cat((self.vectors, whole), dim=1),
            scales=scales,
            kept=torch.nn.functional.pad(self.kept, (0, len(bounds))),
        )

    def keys(
        self, dtype: torch.dtype, first: int = 0, end: int | None = None
    ) -> Float[Tensor, "K vectors D"]:
        """The vectors from `first` to `end` as numbers."""
        vectors = self.vectors[:, first:end]
        if self.scales is None:
            return vectors
        return vectors.to(dtype) * self.scales[:, first:end].to(dtype)[..., None]

    def scores(
        self, plan: RetrievalPlan, query: Float[Tensor, "N H D"]
    ) -> Float[Tensor, "K spans"]:
        """How relevant each span is to each key head's queries; larger is better.

        Source: `bounds`: Quest; `joint`: InfLLM, arXiv 2402.04617 (mean query, one choice for all
        heads); else ours, see `normalised`.
        Oracle: tests/kv/retrieval/test_memory.py::test_blocks_equal_infllm_in_float64
        """
        if plan.joint:
            query = query.mean(0, keepdim=True)
        if plan.vectors == "bounds":
            low, high = self.boxes()[:2]
            products = bound_products(query, low, high)
        else:
            best = best_products(query, self.keys(query.dtype))
            products = of_spans(best, self.owner, self.num_spans)
        if plan.joint:
            return products.sum((0, 1)).expand(len(products), -1)
        return normalised(products, query.shape[-1] ** -0.5)

    def boxes(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Least and largest cells of each span's keys: not rotated, and rotated to their places."""
        low, high, turned_low, turned_high = self.vectors.unflatten(1, (-1, 4)).unbind(2)
        return low, high, turned_low, turned_high

    def to_dict(self) -> dict[str, Any]:
        """Tensors of a saved index."""
        return {
            "starts": torch.from_numpy(self.starts),
            "lengths": torch.from_numpy(self.lengths),
            "owner": self.owner,
            "token": self.token,
            "vectors": self.vectors,
            "kept": self.kept,
            **({} if self.scales is None else {"scales": self.scales}),
        }

    @classmethod
    def from_dict(cls, saved: dict[str, Tensor]) -> "SpanIndex":
        """What `to_dict` gave."""
        return cls(
            starts=saved["starts"].numpy(),
            lengths=saved["lengths"].numpy(),
            owner=saved["owner"],
            token=saved["token"],
            vectors=saved["vectors"],
            kept=saved["kept"],
            scales=saved.get("scales"),
        )


def quantised(rows: Float[Tensor, "K V D"]) -> tuple[Int8[Tensor, "K V D"], Float[Tensor, "K V"]]:
    """Rows in 8 bits, and the factor of each.

    Source: symmetric absmax quantisation, arXiv 2208.07339, section 2.1.
    Oracle: tests/kv/retrieval/test_index.py::test_eight_bits_are_close
    """
    scales = rows.abs().amax(-1).float().clamp(min=1e-12) / 127
    scales = scales.to(rows.dtype)
    cells = (rows.float() / scales.float()[..., None]).round().clamp(-127, 127)
    return cells.to(torch.int8), scales


def vectors_of(
    plan: RetrievalPlan,
    keys: Float[Tensor, "K T D"],
    bounds: Bounds,
    band: np.ndarray,
    theta: float | None,
) -> tuple[list[Tensor], np.ndarray]:
    """Vectors of each span: its tokens of largest in-triangle mass; fewer where it stands out.

    Also the token of each vector; that of an average is the first of those it is made of.

    Confidence of a span is its score over the sum of its and its larger neighbour's.
    Source: Ltri-LLM, arXiv 2412.04757, dynamic index vectors; formula and content are ours.
    `averaged`: InfLLM, arXiv 2402.04617, its four most attended keys in one vector.
    Oracle: tests/kv/retrieval/test_index.py::test_confident_spans_have_fewer_vectors
    """
    masses = [in_triangle_mass(band, first, end) for first, end in bounds]
    sizes = np.array([end - first for first, end in bounds])
    scores = np.array([m.sum() for m in masses]) - (theta or 0.0) * sizes * (sizes + 1) / 2
    nums = vector_counts(scores, plan.most_vectors, static=plan.static)
    found, tokens = [], []
    for (first, _), mass, num in zip(bounds, masses, nums, strict=True):
        top = np.sort(np.argsort(-mass, kind="stable")[:num])
        chosen = keys[:, first + torch.from_numpy(top).to(keys.device)]
        averaged = plan.vectors == "averaged"
        found.append(chosen.mean(1, keepdim=True) if averaged else chosen)
        tokens.append(first + (top[:1] if averaged else top))
    return found, np.concatenate(tokens)


def boxes_of(
    keys: Float[Tensor, "K T D"], turned: Float[Tensor, "K T D"], bounds: Bounds
) -> tuple[list[Tensor], np.ndarray]:
    """Least and largest cells of each span's keys, not rotated and rotated; four a span.

    Source: Quest, arXiv 2406.10774, whose keys are rotated; the others serve beyond the window.
    Oracle: tests/kv/retrieval/test_index.py::test_boxes_hold_their_keys
    """
    found = []
    for first, end in bounds:
        sides = [x[:, first:end] for x in (keys, turned)]
        found.append(torch.stack([f(1) for x in sides for f in (x.amin, x.amax)], dim=1))
    return found, np.repeat([first for first, _ in bounds], 4)


def vector_counts(scores: np.ndarray, most: int, *, static: bool) -> list[int]:
    """How many vectors each span gets, from the scores of spans side by side."""
    if static:
        return [most] * len(scores)
    padded = np.concatenate(([0.0], np.maximum(scores, 0.0), [0.0]))
    rival = np.maximum(padded[:-2], padded[2:])
    total = padded[1:-1] + rival
    confidence = np.divide(padded[1:-1], total, out=np.zeros_like(total), where=total > 0)
    return [min(most, max(1, math.ceil(most * (1 - c)))) for c in confidence]
