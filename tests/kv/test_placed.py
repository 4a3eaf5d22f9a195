"""Rows in the cache through the compiled attention: bits, however a prompt is cut."""

from collections.abc import Sequence

import pytest
import torch
from fixtures.brute import rope_config
from torch import Tensor

from burnish.kernels import ops
from burnish.kv.dense import DenseCache, ExtendAttend, StepAttend
from burnish.kv.placed import Branch, PlacedAttend
from burnish.kv.rope import Rope

pytestmark = pytest.mark.skipif(
    not ops.usable(torch.zeros(1)), reason="needs a C compiler for burnish's kernels"
)

HEADS, KV_HEADS, SIZE, LENGTH = 9, 3, 64, 117
WINDOWS = (None, 40)


def make_cache(num_slots: int, dtype: torch.dtype) -> DenseCache:
    return DenseCache(
        num_layers=len(WINDOWS), num_kv_heads=KV_HEADS, head_dim=SIZE, num_slots=num_slots,
        capacity_tokens=LENGTH + 8, dtype=dtype,
    )  # fmt: skip


def text(seed: int, dtype: torch.dtype) -> tuple[Tensor, ...]:
    source = torch.Generator().manual_seed(seed)
    sizes = (HEADS, KV_HEADS, KV_HEADS)
    return tuple(torch.randn(LENGTH, n, SIZE, generator=source).to(dtype) for n in sizes)


def read(rows: tuple[Tensor, ...], cuts: Sequence[int], dtype: torch.dtype) -> list[Tensor]:
    """Outputs of every layer for one text, read in pieces beside another text; then in steps."""
    cache, rope, beside = make_cache(2, dtype), Rope(rope_config(SIZE)), text(99, dtype)
    outs: list[list[Tensor]] = [[] for _ in WINDOWS]
    ends = [*cuts, LENGTH]
    begin = 0
    for end in ends:
        steps = end == LENGTH and cuts
        pieces = [(at, at + 1) for at in range(begin, end)] if steps else [(begin, end)]
        for first, last in pieces:
            for layer in range(len(WINDOWS)):
                part = tuple(p[first:last] for p in rows)
                if steps:
                    attend = StepAttend(cache, 1, rope, WINDOWS)
                    out = attend(layer, *part)
                else:
                    counts = [last - first, 3]
                    other = tuple(p[:3] for p in beside)
                    cache.rollback(1, 0)
                    attend = ExtendAttend(cache, [0, 1], counts, rope, WINDOWS)
                    joined = (torch.cat(pair) for pair in zip(part, other, strict=True))
                    out = attend(layer, *joined)[: last - first]
                outs[layer].append(out)
            cache.lengths[0] = last
        begin = end
    return [torch.cat(parts) for parts in outs]


def check_cuts(dtype: torch.dtype) -> None:
    rows = text(0, dtype)
    whole = read(rows, (), dtype)
    for cuts in ((1,), (15, 16), (16, 17, 100), (100,), (3, 50, 116)):
        for one, other in zip(whole, read(rows, cuts, dtype), strict=True):
            assert torch.equal(one, other), cuts


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_bits_depend_on_what_a_row_sees(dtype: torch.dtype, num_threads: int) -> None:
    check_cuts(dtype)


def test_planted_bits_of_the_plain_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch's own attention gives a row other bits when the prompt is cut elsewhere."""
    monkeypatch.setattr(ops, "usable", lambda *tensors: False)
    with pytest.raises(AssertionError):
        check_cuts(torch.bfloat16)


def tree_outputs(siblings_first: bool) -> tuple[Tensor, Tensor]:
    """A path of three rows in a tree with a sibling in between, and the same path as steps."""
    dtype = torch.bfloat16
    rows, rope, common = text(5, dtype), Rope(rope_config(SIZE)), 100
    trunk = make_cache(1, dtype)
    for layer in range(len(WINDOWS)):
        ExtendAttend(trunk, [0], [common], rope, WINDOWS)(layer, *(p[:common] for p in rows))
    trunk.lengths[0] = common
    straight = make_cache(1, dtype)
    straight.restore(0, trunk.snapshot(0))
    wanted = []
    for at in range(common, common + 3):
        attend = StepAttend(straight, 1, rope, WINDOWS)
        wanted.append([attend(layer, *(p[at : at + 1] for p in rows))[0] for layer in (0, 1)])
        straight.lengths[0] += 1
    # nodes: a (depth 1), x (its sibling), b under a, c under b; or with x in front
    order = [103, 100, 101, 102] if siblings_first else [100, 103, 101, 102]
    where = {row: common + index for index, row in enumerate(order)}
    paths = {100: [100], 103: [103], 101: [100, 101], 102: [100, 101, 102]}
    depth = {100: 0, 103: 0, 101: 1, 102: 2}
    more = [where[row] for node in order for row in paths[node]]
    at = [0]
    for node in order:
        at.append(at[-1] + len(paths[node]))
    branch = Branch(
        common=torch.full((4,), common), more=torch.tensor(more), more_at=torch.tensor(at)
    )
    attend = PlacedAttend(
        trunk.cells, [0] * 4, torch.tensor([common + depth[n] for n in order]), rope, WINDOWS,
        at=torch.tensor([where[n] for n in order]), branches=dict.fromkeys(WINDOWS, branch),
    )  # fmt: skip
    index = torch.tensor(order)
    found = [attend(layer, *(p[index] for p in rows)) for layer in (0, 1)]
    path = [order.index(node) for node in (100, 101, 102)]
    return (
        torch.stack([torch.stack([found[layer][row] for layer in (0, 1)]) for row in path]),
        torch.stack([torch.stack(pair) for pair in wanted]),
    )


@pytest.mark.parametrize("siblings_first", [False, True])
def test_a_path_of_a_tree_has_the_bits_of_plain_steps(siblings_first: bool) -> None:
    found, wanted = tree_outputs(siblings_first)
    assert torch.equal(found, wanted)
