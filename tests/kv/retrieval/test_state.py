"""A memory saved and opened again."""

from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures.tiny import texts

from burnish.engine.policies import read_rows, shape_of
from burnish.kv.policies import kv_policies
from burnish.kv.retrieval import memory as module
from burnish.kv.retrieval.index import SpanIndex
from burnish.kv.retrieval.state import from_tensors, to_tensors

SPEC = "triangle-dp:far_tokens=13,local_tokens=8,num_sinks=2,most_tokens=6,least_tokens=2"


def check_reopened(model: Any, folder: Path) -> None:
    first, then = texts([70, 20])
    policy, shape = kv_policies.parse(SPEC), shape_of(model)
    memory = policy.open(shape, folder=folder)
    with torch.inference_mode():
        for begin in range(0, 70, 7):
            read_rows(model.network, [memory], [first[begin : begin + 7]])
        for store in memory.stores:
            store.spill()
        saved = {name: value.clone() for name, value in to_tensors(memory).items()}
        again = [
            from_tensors(policy.plan, shape, saved, folder, writable=writable)
            for writable in (False, True)
        ]
        wanted = read_rows(model.network, [memory.fork()], [then])
        for one in again:
            assert torch.equal(read_rows(model.network, [one], [then]), wanted)
            assert one.num_tokens == 90


@pytest.fixture(autouse=True)
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAST_ROWS", 16)


def test_a_reopened_memory_gives_the_same_bits(tiny_model: Any, tmp_path: Path) -> None:
    check_reopened(tiny_model("llama"), tmp_path)


def test_planted_vectors_in_another_order(
    tiny_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def turned(self: SpanIndex) -> dict[str, Any]:
        return exact(self) | {"vectors": self.vectors.flip(1)}

    exact = SpanIndex.to_dict
    monkeypatch.setattr(SpanIndex, "to_dict", turned)
    with pytest.raises(AssertionError):
        check_reopened(tiny_model("llama"), tmp_path)
