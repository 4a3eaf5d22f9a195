"""The compiled kernels against definitions written in numpy, and their bits."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from fixtures.brute import rope_config
from torch import Tensor

from burnish.kernels import ops
from burnish.kernels.ops import Places
from burnish.kv.rope import Rope

DTYPES = (torch.float32, torch.bfloat16)
SIZES = (1, 7, 16, 31, 64, 128, 577)
ROUNDING = {torch.float32: 2e-6, torch.bfloat16: 1 / 256}  # relative

pytestmark = pytest.mark.skipif(
    not ops.usable(torch.zeros(1)), reason="needs a C compiler for burnish's kernels"
)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def close(found: Tensor, wanted: np.ndarray, dtype: torch.dtype) -> None:
    scale = np.abs(wanted).max() + 1e-6
    np.testing.assert_allclose(found.double().numpy(), wanted, atol=ROUNDING[dtype] * scale)


# ---- norm and gate ----


def check_norm(norm: Callable[..., Tensor]) -> None:
    for dtype in DTYPES:
        for size in SIZES:
            rows, weight = normal(5, size, dtype=dtype) * 3, normal(size, seed=1, dtype=dtype)
            x, w = rows.double().numpy(), weight.double().numpy()
            wanted = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * w
            close(norm(rows, weight, 1e-5), wanted, dtype)


def test_norm_equals_definition(num_threads: int) -> None:
    check_norm(ops.rms_norm)


def test_planted_norm_without_its_tail() -> None:
    def headless(rows: Tensor, weight: Tensor, eps: float) -> Tensor:
        cut = rows.clone()
        cut[:, rows.shape[1] // 16 * 16 :] = 0
        return ops.rms_norm(cut, weight, eps)

    with pytest.raises(AssertionError):
        check_norm(headless)


def test_sum_and_norm_equal_two_steps(num_threads: int) -> None:
    for dtype in DTYPES:
        for size in SIZES:
            rows, more = normal(5, size, dtype=dtype), normal(5, size, seed=4, dtype=dtype)
            weight = normal(size, seed=1, dtype=dtype)
            total, out = ops.add_rms_norm(rows, more, weight, 1e-5)
            assert torch.equal(total, rows + more)
            assert torch.equal(out, ops.rms_norm(rows + more, weight, 1e-5))


def check_largest(largest: Callable[[Tensor], Tensor]) -> None:
    for dtype in DTYPES:
        for size in (1, 5, 16, 33, 1000):
            rows = normal(7, size, dtype=dtype)
            rows[1] = -4.0
            rows[2] = float("-inf")
            rows[3, size // 2 :] = 9.0  # equals: the first counts
            rows[4, -1] = float("inf")
            wanted = rows.double().numpy().argmax(-1)
            assert largest(rows).tolist() == wanted.tolist(), (dtype, size)


def test_largest_equals_numpy(num_threads: int) -> None:
    check_largest(ops.largest)


def test_planted_last_of_equals() -> None:
    with pytest.raises(AssertionError):
        check_largest(lambda rows: rows.shape[1] - 1 - ops.largest(rows.flip(1).contiguous()))


def check_gate(gate: Callable[[Tensor], Tensor]) -> None:
    for dtype in DTYPES:
        for size in SIZES:
            both = normal(3, 2 * size, dtype=dtype) * 8
            both[0, 0], both[1, 0] = 100, -100
            g, up = np.split(both.double().numpy(), 2, axis=1)
            close(gate(both), g / (1 + np.exp(-g)) * up, dtype)


def test_gate_equals_definition(num_threads: int) -> None:
    check_gate(ops.silu_mul)


def test_planted_gate_with_halves_swapped() -> None:
    with pytest.raises(AssertionError):
        check_gate(lambda both: ops.silu_mul(both.roll(both.shape[1] // 2, 1)))


def test_infinities_and_nan_are_kept() -> None:
    for dtype in DTYPES:
        rows = torch.tensor([[1.0, float("nan"), 2.0]], dtype=dtype)
        assert ops.rms_norm(rows, torch.ones(3, dtype=dtype), 1e-5).isnan().all()
        both = torch.tensor([[float("nan"), 1.0, 2.0, 2.0]], dtype=dtype)
        assert ops.silu_mul(both)[0].isnan().tolist() == [True, False]


# ---- attention ----

HEADS, KV_HEADS, SLOTS, CAPACITY = 6, 2, 3, 40


def rotated(x: np.ndarray, position: int, rope: Rope) -> np.ndarray:
    """Pairs (i, i + half) as complex numbers, turned by position times frequency."""
    half = x.shape[-1] // 2
    turn = np.exp(1j * position * rope._frequencies.double().numpy())
    out = (x[..., :half] + 1j * x[..., half:]) * turn
    return np.concatenate((out.real, out.imag), axis=-1)


def brute(
    rows: tuple[Tensor, ...], cells: Tensor, seen: list[tuple[int, list[int]]], at: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Outputs and the cells afterwards; `seen` has each row's slot and cells."""
    query, key, value = (part.double().numpy() for part in rows)
    kept = cells.double().numpy().copy()
    size = query.shape[-1]
    rope = Rope(rope_config(size))
    for row, (slot, _) in enumerate(seen):
        kept[0, slot, :, at[row]] = rotated(key[row], POSITIONS[row], rope)
        kept[1, slot, :, at[row]] = value[row]
    out = np.empty_like(query)
    for row, (slot, visible) in enumerate(seen):
        turned = rotated(query[row], POSITIONS[row], rope)
        for head in range(HEADS):
            keys, values = kept[:, slot, head // (HEADS // KV_HEADS)][:, visible]
            scores = keys @ turned[head] / np.sqrt(size)
            share = np.exp(scores - scores.max())
            out[row, head] = share @ values / share.sum()
    return out, kept


POSITIONS = [4, 5, 6, 20, 21, 21, 35]
OWNERS = [0, 0, 0, 1, 1, 1, 2]
AT = [4, 5, 6, 20, 21, 22, 35]  # row 5 is row 4's sibling: both continue row 3
SEEN = [range(0, 5), range(0, 6), range(2, 7), range(0, 21), range(0, 22), [*range(21), 22],
        range(0, 36)]  # fmt: skip


def places_of() -> Places:
    """Row 5 as a branch (20 first cells, then 20 and 22), row 2 with a window of five."""
    more, at = [[], [], [], [], [], [20, 22], []], [0]
    for extra in more:
        at.append(at[-1] + len(extra))
    begins, ends = [0, 0, 2, 0, 0, 0, 0], [5, 6, 7, 21, 22, 20, 36]
    tensors = [torch.tensor(x) for x in (OWNERS, AT, begins, ends, [c for e in more for c in e])]
    names = ("slots", "cells", "begins", "ends", "more")
    return Places(**dict(zip(names, tensors, strict=True)), more_at=torch.tensor(at))


def inputs(size: int, dtype: torch.dtype) -> tuple[tuple[Tensor, ...], Tensor, Any]:
    both = normal(len(AT), (HEADS + 2 * KV_HEADS) * size, seed=2, dtype=dtype)
    parts = both.split([HEADS * size, KV_HEADS * size, KV_HEADS * size], dim=-1)
    rows = tuple(part.unflatten(-1, (-1, size)) for part in parts)
    cells = normal(2, SLOTS, KV_HEADS, CAPACITY, size, seed=3, dtype=dtype)
    turns = Rope(rope_config(size)).at(torch.tensor(POSITIONS), torch.float32)
    return rows, cells, tuple(turn.flatten(1) for turn in turns)


def check_attention(attend: Callable[..., Tensor]) -> None:
    seen = [(slot, list(visible)) for slot, visible in zip(OWNERS, SEEN, strict=True)]
    for dtype in DTYPES:
        for size in (2, 10, 34, 64, 128):
            rows, cells, turns = inputs(size, dtype)
            wanted, kept = brute(rows, cells, seen, AT)
            out = attend(rows, turns, cells, places_of())
            close(out, wanted, dtype)
            close(cells, kept, dtype)


def test_attention_equals_definition(num_threads: int) -> None:
    check_attention(ops.attend)


def planted(change: Callable[[Any, Any, Any, Places], Any]) -> None:
    def spoilt(rows: Any, turns: Any, cells: Tensor, places: Places) -> Tensor:
        return ops.attend(*change(rows, turns, cells, places))

    with pytest.raises(AssertionError):
        check_attention(spoilt)


def test_planted_branch_that_sees_its_sibling() -> None:
    def change(rows: Any, turns: Any, cells: Tensor, places: Places) -> Any:
        return rows, turns, cells, Places(**{**vars(places), "more": torch.tensor([21, 22])})

    planted(change)


def test_planted_row_that_does_not_see_itself() -> None:
    def change(rows: Any, turns: Any, cells: Tensor, places: Places) -> Any:
        return rows, turns, cells, Places(**{**vars(places), "ends": places.ends - 1})

    planted(change)


def test_planted_rotation_the_other_way() -> None:
    planted(lambda rows, turns, cells, places: (rows, (turns[0], -turns[1]), cells, places))


def check_bits(attend: Callable[..., Tensor]) -> None:
    """A row alone has the bits that it has among others, and in whatever cells its past lies."""
    for dtype in DTYPES:
        rows, cells, turns = inputs(64, dtype)
        places = places_of()
        together = attend(rows, turns, cells.clone(), places)
        done = cells.clone()
        for row in range(len(AT)):  # one after another: each finds what the earlier ones wrote
            one = slice(row, row + 1)
            at = places.more_at
            assert at is not None and places.more is not None
            alone = Places(
                slots=places.slots[one],
                cells=places.cells[one],
                begins=places.begins[one],
                ends=places.ends[one],
                more=places.more[at[row] : at[row + 1]],
                more_at=at[row : row + 2] - at[row],
            )
            out = attend(tuple(p[one] for p in rows), tuple(t[one] for t in turns), done, alone)
            assert torch.equal(out[0], together[row]), (dtype, row)
        # the branch, as the newest row of a plain sequence
        plain = cells.clone()
        plain[:, 0] = done[:, 1]
        where = {"slots": [0], "cells": [21], "begins": [0], "ends": [22]}
        straight = Places(**{name: torch.tensor(value) for name, value in where.items()})
        branch = slice(5, 6)
        parts = tuple(p[branch] for p in rows), tuple(t[branch] for t in turns)
        assert torch.equal(attend(*parts, plain, straight)[0], together[5]), dtype


def test_bits_depend_on_what_a_row_sees(num_threads: int) -> None:
    check_bits(ops.attend)


def test_planted_output_that_depends_on_the_neighbours() -> None:
    def swayed(rows: Any, turns: Any, cells: Tensor, places: Places) -> Tensor:
        out = ops.attend(rows, turns, cells, places)
        return (out.float() * (1 + 1e-2 * len(out))).to(out.dtype)

    with pytest.raises(AssertionError):
        check_bits(swayed)


# ---- when they are taken ----


def test_they_are_not_taken_where_a_gradient_is_wanted() -> None:
    rows = torch.zeros(2, 3, requires_grad=True)
    assert not ops.usable(rows) and ops.usable(rows.detach())
    with torch.no_grad():
        assert ops.usable(rows)
    assert not ops.usable(rows.detach(), rows.detach().bfloat16())
    assert not ops.usable(torch.zeros(1, dtype=torch.float64))
