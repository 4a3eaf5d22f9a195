"""Attention over sinks, retrieved and local tokens in one softmax."""

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from burnish.kv.grouped import grouped_scores

if TYPE_CHECKING:
    from burnish.kv.retrieval.memory import RetrievingMemory


class RetrievingAttend:
    """Attention of new rows; each key head has far tokens of its own.

    Positions of far tokens and sinks: `true`, as in the text; `packed`, as if nothing else stood
    before the local ones; `constant`, all of them `local_tokens` away.
    Source: InfLLM, arXiv 2402.04617 (one softmax, constant distance); StreamingLLM (packed).
    Oracle: tests/kv/retrieval/test_memory.py::test_a_budget_that_covers_the_text_is_transformers
    """

    def __init__(self, memory: "RetrievingMemory", num_rows: int) -> None:
        self._memory, self._start, self._num_rows = memory, memory.num_tokens, num_rows
        self.places = memory.places(num_rows)

    def __call__(
        self,
        layer: int,
        query: Float[Tensor, "N H D"],
        key: Float[Tensor, "N K D"],
        value: Float[Tensor, "N K D"],
    ) -> Float[Tensor, "N H D"]:
        """Attention output of every row; keeps keys and values."""
        memory, state = self._memory, self._memory.layers[layer]
        new = torch.stack((key, value)).transpose(1, 2)
        local = torch.cat((state.local, new), dim=2)
        chosen = memory.choose(layer, query, self.places)
        num_sinks, num_heads = state.sinks.shape[2], local.shape[1]
        far, at = state.sinks, torch.arange(num_sinks).expand(num_heads, -1)
        if chosen is not None:
            found = memory.stores[layer].gather(chosen).to(local.device)
            far = torch.cat((far, found), dim=2)
            at = torch.cat((at, chosen + num_sinks), dim=1)
        if memory.watch is not None:
            memory.watch(layer, query, at)
        memory.peak_tokens = max(memory.peak_tokens, far.shape[2] + local.shape[2])
        scores = self._scores(query, (far[0], at.to(local.device)), local[0], state.begin)
        self._mask(layer, scores, at, state.begin)
        shares = scores.softmax(-1, dtype=torch.promote_types(scores.dtype, torch.float32))
        self._keep(layer, local, shares[..., far.shape[2] :])
        values = torch.cat((far[1], local[1]), dim=1)
        out = shares.to(values.dtype).flatten(1, 2) @ values
        return out.unflatten(1, shares.shape[1:3]).permute(2, 0, 1, 3).flatten(1, 2)

    def _scores(
        self,
        query: Tensor,
        far: tuple[Float[Tensor, "K M D"], Int[Tensor, "K M"]],
        local: Float[Tensor, "K T D"],
        begin: int,
    ) -> Tensor:
        (keys, at), places = far, self.places
        rows = torch.arange(self._start, self._start + len(query), device=query.device)
        near = torch.arange(begin, begin + local.shape[1], device=query.device)
        packed = places.kind == "packed"
        if packed:
            shift = keys.shape[1] - begin
            rows, near = rows + shift, near + shift
            at = torch.arange(keys.shape[1], device=query.device).expand_as(at)
        own = places.turned(query, rows)
        turned = places.turned(local.transpose(0, 1), near).transpose(0, 1)
        close = grouped_scores(own, turned)
        if keys.shape[1] == 0:
            return close
        if packed:
            flat = places.turned(keys.flatten(0, 1)[:, None], at.flatten())[:, 0]
            distant = grouped_scores(own, flat.view(keys.shape))
        else:
            distant = grouped_scores(places.far_queries(query, rows), places.far_keys(keys, at))
        return torch.cat((distant, close), dim=-1)

    def _mask(
        self, layer: int, scores: Float[Tensor, "K G N T"], at: Int[Tensor, "K M"], begin: int
    ) -> None:
        """Causal, and inside the model's own window of the layer if it has one."""
        near = scores[..., at.shape[1] :]  # far tokens stand before all rows
        rows = torch.arange(self._start, self._start + self._num_rows, device=scores.device)
        places = torch.arange(begin, begin + near.shape[-1], device=scores.device)
        window = self._memory.shape.windows[layer]
        unseen = places > rows[:, None]
        if window is not None:
            unseen |= rows[:, None] - places >= window
            far = rows[:, None] - at.to(scores.device)[:, None, None] >= window
            scores[..., : at.shape[1]].masked_fill_(far, float("-inf"))
        near.masked_fill_(unseen, float("-inf"))

    def _keep(self, layer: int, local: Tensor, shares: Float[Tensor, "K G N T"]) -> None:
        """The new rows, and the band of their attention to the tokens just before them."""
        state = self._memory.layers[layer]
        width, num = state.band.shape[1], local.shape[2]
        map_ = shares.sum((0, 1)).float()
        own = torch.arange(num - self._num_rows, num, device=map_.device)
        back = own[:, None] - torch.arange(width, device=map_.device)
        cells = map_.gather(1, back.clamp(min=0)).masked_fill_(back < 0, 0.0)
        band = torch.cat((state.band, cells))
        self._memory.layers[layer] = replace(state, local=local, band=band)
