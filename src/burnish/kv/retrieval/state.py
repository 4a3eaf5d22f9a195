"""A retrieving memory as tensors, but for its far tokens, which lie in files already."""

from pathlib import Path

import torch
from torch import Tensor

from burnish.contracts.kv_policy import KVShape
from burnish.kv.retrieval.index import SpanIndex
from burnish.kv.retrieval.memory import LayerState, RetrievingMemory, layer_file
from burnish.kv.retrieval.plan import RetrievalPlan
from burnish.kv.retrieval.store import Store

NO_THETA = -1.0
PARTS = ("sinks", "local", "band")


def to_tensors(memory: RetrievingMemory) -> dict[str, Tensor]:
    """All that the memory holds, but for its stores.

    Source: ours.
    Oracle: tests/kv/retrieval/test_state.py::test_a_reopened_memory_gives_the_same_bits
    """
    numbers = torch.tensor([memory.num_tokens, memory.since_choice])
    found = {"numbers": numbers, "surprise": torch.from_numpy(memory.surprise)}
    found["votes"] = torch.from_numpy(memory.votes.values)
    for layer, state in enumerate(memory.layers):
        own = {name: getattr(state, name) for name in PARTS} | state.index.to_dict()
        theta = NO_THETA if state.theta is None else state.theta
        own["theta"] = torch.tensor([theta], dtype=torch.float64)
        own["begin"] = torch.tensor([state.begin])
        found |= {f"{layer}.{name}": value.contiguous().cpu() for name, value in own.items()}
    return found


def from_tensors(
    plan: RetrievalPlan, shape: KVShape, tensors: dict[str, Tensor], folder: Path, *, writable: bool
) -> RetrievingMemory:
    """The memory again, over the files of `folder`; `writable` goes on writing there."""
    memory = RetrievingMemory(shape, plan, folder=folder)
    num_tokens, since_choice = tensors["numbers"].tolist()
    surprise, votes = (tensors[name].numpy().copy() for name in ("surprise", "votes"))
    memory.restore((num_tokens, since_choice), surprise, votes)
    row = (2, shape.num_kv_heads, shape.head_dim)
    for layer in range(shape.num_layers):
        prefix = f"{layer}."
        own = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        theta, index = float(own["theta"]), SpanIndex.from_dict(own)
        memory.layers[layer] = LayerState(
            **{name: own[name].to(shape.device) for name in PARTS},
            begin=int(own["begin"]),
            index=index,
            theta=None if theta == NO_THETA else theta,
            chosen=None,
        )
        num = int(index.starts[-1] + index.lengths[-1]) if index.num_spans else 0
        store = Store.opened(row, shape.dtype, layer_file(folder, layer), num)
        store.cache = memory.new_cache()
        store.path = layer_file(folder, layer) if writable else None
        memory.stores[layer] = store
    return memory
