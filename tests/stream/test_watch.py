"""Watching a memory changes nothing, and counts tokens."""

from typing import Any

import pytest
import torch
from fixtures.tiny import texts

from burnish.engine.policies import read_rows, shape_of
from burnish.kv.memory import open_memory
from burnish.kv.policies import kv_policies
from burnish.stream.watch import Watched, recall_of

SPECS = (
    "triangle-dp:far_tokens=13,local_tokens=8,num_sinks=2,most_tokens=6,least_tokens=2",
    "snapkv:budget_tokens=20,num_sinks=2,window_tokens=6",
    "window:budget_tokens=22,num_sinks=2",
    "full",
)


@pytest.mark.parametrize("spec", SPECS)
def test_a_watched_memory_does_the_same(spec: str, tiny_model: Any) -> None:
    model, (tokens,) = tiny_model("llama"), texts([60])
    policy, shape = kv_policies.parse(spec), shape_of(model)
    plain, watched = open_memory(policy, shape), Watched(open_memory(policy, shape), 3)
    with torch.inference_mode():
        for begin in range(0, 60, 10):
            rows = tokens[begin : begin + 10]
            wanted = read_rows(model.network, [plain], [rows])
            assert torch.equal(read_rows(model.network, [watched], [rows]), wanted)
        mark = watched.mark()
        first = read_rows(model.network, [watched], [[5]])
        assert watched.keys(2).shape == (61, 2, 6)
        held = watched.held[2]
        assert len(held) == 2 and all(60 in row for row in held)
        assert all(len(set(row.tolist())) == len(row) <= 61 for row in held)
        assert all(int(row.max()) == 60 for row in held)
        watched.rewind(mark)
        assert watched.num_tokens == 60
        assert torch.equal(read_rows(model.network, [watched], [[5]]), first)


def check_recall(recall: Any) -> None:
    held = [torch.tensor([0, 5, 6, 7, 90]), torch.tensor([7, 8])]
    assert recall(held, [(5, 9)]) == (3 + 2) / 8
    assert recall(held, [(5, 8), (90, 91)]) == (4 + 1) / 8


def test_recall_counts_tokens() -> None:
    check_recall(recall_of)


def test_planted_union_of_heads() -> None:
    with pytest.raises(AssertionError):
        check_recall(lambda held, places: recall_of([torch.cat(held).unique()], places))
