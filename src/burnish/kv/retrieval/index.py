"""The index of one layer's spans: what of each span is compared with queries."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from burnish.kv.retrieval.choose import best_products, bound_products, normalised, of_spans
from burnish.kv.retrieval.plan import Plan
from burnish.kv.retrieval.spans import Bounds, in_triangle_mass


@dataclass(frozen=True, kw_only=True, eq=False)
class SpanIndex:
    """Spans of a layer and their vectors (keys before rotation). Never changed in place.

    `starts` and `lengths` count far tokens; `owner[v]` is the span of vector v; `kept` is what
    persistent recall remembers of each head's spans.
    """

    starts: np.ndarray
    lengths: np.ndarray
    owner: Int[Tensor, " vectors"]
    vectors: Float[Tensor, "K vectors D"]
    kept: Float[Tensor, "K spans"]

    @classmethod
    def empty(cls, num_heads: int, head_dim: int, like: Tensor) -> "SpanIndex":
        """No spans."""
        none = np.zeros(0, dtype=np.int64)
        owner = torch.zeros(0, dtype=torch.long, device=like.device)
        vectors = like.new_zeros((num_heads, 0, head_dim))
        kept = torch.zeros((num_heads, 0), device=like.device)
        return cls(starts=none, lengths=none, owner=owner, vectors=vectors, kept=kept)

    @property
    def num_spans(self) -> int:
        """Spans held."""
        return len(self.starts)

    @property
    def num_bytes(self) -> int:
        """Vectors with their owners, and where the spans lie."""
        vectors = self.vectors.numel() * self.vectors.element_size()
        return vectors + 4 * (self.owner.numel() + 2 * self.num_spans)

    def extended(self, bounds: Bounds, vectors: list[Tensor]) -> "SpanIndex":
        """With more spans, `[K m D]` vectors each; bounds count from the last far token on."""
        at = int(self.starts[-1] + self.lengths[-1]) if self.num_spans else 0
        sizes = torch.tensor([v.shape[1] for v in vectors])
        owner = torch.arange(len(bounds)).repeat_interleave(sizes) + self.num_spans
        new = np.array(bounds, dtype=np.int64)
        return replace(
            self,
            starts=np.concatenate((self.starts, new[:, 0] + at)),
            lengths=np.concatenate((self.lengths, new[:, 1] - new[:, 0])),
            owner=torch.cat((self.owner, owner.to(self.owner.device))),
            vectors=torch.cat((self.vectors, *vectors), dim=1),
            kept=torch.nn.functional.pad(self.kept, (0, len(bounds))),
        )

    def scores(self, plan: Plan, query: Float[Tensor, "N H D"]) -> Float[Tensor, "K spans"]:
        """How relevant each span is to each key head's queries; larger is better.

        Source: `bounds`: Quest; `joint`: InfLLM, arXiv 2402.04617 (mean query, one choice for all
        heads); else ours, see `normalised`.
        Oracle: tests/kv/retrieval/test_memory.py::test_blocks_equal_infllm_in_float64
        """
        if plan.joint:
            query = query.mean(0, keepdim=True)
        if plan.vectors == "bounds":
            products = bound_products(query, self.vectors[:, ::2], self.vectors[:, 1::2])
        else:
            products = of_spans(best_products(query, self.vectors), self.owner, self.num_spans)
        if plan.joint:
            return products.sum((0, 1)).expand(len(products), -1)
        return normalised(products, query.shape[-1] ** -0.5)

    def to_dict(self) -> dict[str, Any]:
        """Tensors of a saved index."""
        return {
            "starts": torch.from_numpy(self.starts),
            "lengths": torch.from_numpy(self.lengths),
            "owner": self.owner,
            "vectors": self.vectors,
            "kept": self.kept,
        }

    @classmethod
    def from_dict(cls, saved: dict[str, Tensor]) -> "SpanIndex":
        """What `to_dict` gave."""
        arrays = {name: saved[name].numpy() for name in ("starts", "lengths")}
        return cls(**arrays, **{name: saved[name] for name in ("owner", "vectors", "kept")})


def vectors_of(
    plan: Plan, keys: Float[Tensor, "K T D"], bounds: Bounds, band: np.ndarray, theta: float | None
) -> list[Tensor]:
    """Vectors of each span: its tokens of largest in-triangle mass; fewer where it stands out.

    Confidence of a span is its score over the sum of its and its larger neighbour's.
    Source: Ltri-LLM, arXiv 2412.04757, dynamic index vectors; formula and content are ours.
    `averaged`: InfLLM, arXiv 2402.04617, its four most attended keys in one vector.
    Oracle: tests/kv/retrieval/test_index.py::test_confident_spans_have_fewer_vectors
    """
    if plan.vectors == "bounds":
        cut = [keys[:, first:end] for first, end in bounds]
        return [torch.stack((k.amin(1), k.amax(1)), dim=1) for k in cut]
    masses = [in_triangle_mass(band, first, end) for first, end in bounds]
    sizes = np.array([end - first for first, end in bounds])
    scores = np.array([m.sum() for m in masses]) - (theta or 0.0) * sizes * (sizes + 1) / 2
    nums = vector_counts(scores, plan.most_vectors, static=plan.static)
    found = []
    for (first, _), mass, num in zip(bounds, masses, nums, strict=True):
        top = np.sort(np.argsort(-mass, kind="stable")[:num])
        chosen = keys[:, first + torch.from_numpy(top).to(keys.device)]
        found.append(chosen.mean(1, keepdim=True) if plan.vectors == "averaged" else chosen)
    return found


def vector_counts(scores: np.ndarray, most: int, *, static: bool) -> list[int]:
    """How many vectors each span gets, from the scores of spans side by side."""
    if static:
        return [most] * len(scores)
    padded = np.concatenate(([0.0], np.maximum(scores, 0.0), [0.0]))
    rival = np.maximum(padded[:-2], padded[2:])
    total = padded[1:-1] + rival
    confidence = np.divide(padded[1:-1], total, out=np.zeros_like(total), where=total > 0)
    return [min(most, max(1, math.ceil(most * (1 - c)))) for c in confidence]
