"""Attention over drafts against its definition, and the bits of nodes against plain steps."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from fixtures.brute import attention, rope_config

from burnish.draft import attend as attend_module
from burnish.draft.attend import tree_attend
from burnish.draft.layout import make_layout, path_to
from burnish.kernels import ops
from burnish.kv.dense import DenseCache, ExtendAttend, StepAttend
from burnish.kv.rope import Rope

SHAPES = [(-1, 0, 0, 1, 1, 2, 5), (-1,), (-1, 0, 1)]
WINDOWS = (None, 9)
HEADS, KV_HEADS, SIZE = 6, 2, 16


@pytest.fixture(params=["compiled", "plain"])
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With the compiled kernel, where there is one, and without."""
    if request.param == "plain":
        monkeypatch.setattr(ops, "usable", lambda *tensors: False)
    return request.param


def make_rows(rng: np.random.Generator, num: int) -> tuple[np.ndarray, ...]:
    sizes = (HEADS, KV_HEADS, KV_HEADS)
    return tuple(rng.standard_normal((num, n, SIZE), dtype="float32") for n in sizes)


def filled(lengths: Sequence[int], rope: Rope, dtype: torch.dtype) -> tuple[DenseCache, list]:
    """A cache with a text in every slot, and the rows that made it."""
    rng = np.random.default_rng(0)
    cache = DenseCache(
        num_layers=len(WINDOWS), num_kv_heads=KV_HEADS, head_dim=SIZE, num_slots=len(lengths),
        capacity_tokens=max(lengths) + 40, dtype=dtype,
    )  # fmt: skip
    rows = [make_rows(rng, n) for n in lengths]
    flat = [torch.from_numpy(np.concatenate(part)).to(dtype) for part in zip(*rows, strict=True)]
    attend = ExtendAttend(cache, range(len(lengths)), lengths, rope, WINDOWS)
    for layer in range(len(WINDOWS)):
        attend(layer, *flat)
    cache.lengths = list(lengths)
    return cache, rows


def check_tree(make: Any) -> None:
    """Every node and pseudo state sees its text, its branch and its own group; nothing else."""
    lengths, num_offsets = [5, 1, 21], 2
    rope = Rope(rope_config(SIZE))
    cache, before = filled(lengths, rope, torch.float32)
    layout = make(SHAPES, num_offsets)
    new = make_rows(np.random.default_rng(1), len(layout.text_of_row))
    attend = tree_attend(cache, layout, lengths, rope, WINDOWS)
    for layer, window in enumerate(WINDOWS):
        found = attend(layer, *map(torch.from_numpy, new)).numpy()
        row = 0
        total = sum(map(len, SHAPES))
        for offset in range(num_offsets + 1):
            for text, parents in enumerate(SHAPES):
                begin = sum(map(len, SHAPES[:text]))
                for node in range(len(parents)):
                    chain = [begin + v for v in path_to(parents, node)]
                    chain += [total * i + begin + node for i in range(1, offset + 1)]
                    parts = [np.concatenate((old, some[chain]))
                             for old, some in zip(before[text], new, strict=True)]  # fmt: skip
                    wanted = attention(*parts, window=window)[-1]
                    np.testing.assert_allclose(found[row], wanted, atol=3e-5)
                    row += 1


def test_tree_equals_separate_steps(kernels: str) -> None:
    check_tree(make_layout)


def test_planted_pseudo_states_among_nodes(kernels: str) -> None:
    def spoilt(shapes: Any, num_offsets: int) -> Any:
        layout = make_layout(shapes, num_offsets)
        layout.seen[-1] = 1  # the last pseudo state sees another node instead of itself
        return layout

    with pytest.raises(AssertionError):
        check_tree(spoilt)


def check_bits(parents: tuple[int, ...], num_offsets: int) -> None:
    """In bf16 a node has the bits that it has when its path is decoded token by token."""
    rope, dtype = Rope(rope_config(SIZE)), torch.bfloat16
    for length in (1, 15, 16, 30, 77):
        cache, _ = filled([length], rope, dtype)
        layout = make_layout([parents], num_offsets)
        rows = make_rows(np.random.default_rng(length), len(layout.text_of_row))
        tensors = [torch.from_numpy(part).to(dtype) for part in rows]
        found = tree_attend(cache, layout, [length], rope, (None, None))(0, *tensors)
        for node in range(len(parents)):
            for step, at in enumerate(path_to(parents, node)):
                cache.lengths[0] = length + step
                plain = StepAttend(cache, 1, rope, (None, None))
                out = plain(0, *(part[at : at + 1] for part in tensors))
            assert torch.equal(out[0], found[node]), (length, node)


@pytest.mark.parametrize("num_offsets", [0, 3])
def test_bf16_chains_have_the_bits_of_steps(kernels: str, num_offsets: int) -> None:
    check_bits((-1, 0, 1, 2), num_offsets)


@pytest.mark.skipif(not ops.usable(torch.zeros(1)), reason="no C compiler: branches may round")
@pytest.mark.parametrize("num_offsets", [0, 3])
def test_bf16_branches_have_the_bits_of_steps(num_offsets: int) -> None:
    check_bits(SHAPES[0], num_offsets)


def test_planted_other_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attention in fp32, rounded at the end: right, but other bits than a plain step."""
    import torch.nn.functional as F

    def precise(query: Any, key: Any, value: Any, *, attn_mask: Any) -> Any:
        parts = (part.float() for part in (query, key, value))
        return F.scaled_dot_product_attention(*parts, attn_mask=attn_mask.float()).bfloat16()

    class Spoilt:
        scaled_dot_product_attention = staticmethod(precise)

    monkeypatch.setattr(ops, "usable", lambda *tensors: False)
    monkeypatch.setattr(attend_module, "F", Spoilt)
    with pytest.raises(AssertionError):
        check_bits((-1, 0, 1, 2), 3)
