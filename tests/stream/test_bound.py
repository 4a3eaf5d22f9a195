"""The bound on missed attention, against the attention itself."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from burnish.stream import bound
from burnish.stream.bound import Cells, cell_bounds, head_bounds, missed_bound, tokens_for_bound


def draw(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    source = np.random.default_rng(seed)
    lengths = source.integers(1, 9, 12)
    starts = np.cumsum(lengths) - lengths
    keys = source.normal(size=(int(lengths.sum()), 6)) * source.uniform(0.2, 3)
    return source.normal(size=6), keys, starts, lengths


def check_bound(bounds: Any) -> None:
    for seed in range(40):
        query, keys, starts, lengths = draw(seed)
        cells = Cells.around(keys, starts, lengths, cell=3)
        each = bounds(query, cells) + np.log(cells.sizes)
        mass = np.exp(keys @ query / np.sqrt(6))
        for num in (0, 1, 5, len(each)):
            read = np.zeros(len(keys), dtype=bool)
            for first, size in zip(cells.starts[:num], cells.sizes[:num], strict=True):
                read[first : first + size] = True
            kept = mass[read].sum() + 0.5  # what else was read
            missed = mass[~read].sum() / (kept + mass[~read].sum())
            assert missed <= missed_bound(float(np.log(kept)), each[num:]) + 1e-12


def test_the_bound_is_never_violated() -> None:
    check_bound(cell_bounds)


@pytest.mark.parametrize("side", ["radii", "high"])
def test_planted_bound_without_a_side(side: str) -> None:
    def smaller(query: np.ndarray, cells: Cells) -> np.ndarray:
        flat = cells.radii * 0 if side == "radii" else cells.centres
        return cell_bounds(query, replace(cells, **{side: flat}))

    with pytest.raises(AssertionError):
        check_bound(smaller)


def test_cells_hold_each_token_once() -> None:
    starts, lengths = np.array([2, 10, 11]), np.array([8, 1, 7])
    cells = Cells.around(np.zeros((18, 3)), starts, lengths, cell=3)
    assert cells.starts.tolist() == [2, 5, 8, 10, 11, 14, 17]
    assert cells.sizes.tolist() == [3, 3, 2, 1, 3, 3, 1]


def test_cells_of_one_key_are_exact() -> None:
    query, keys, starts, lengths = draw(0)
    cells = Cells.around(keys, starts, lengths, cell=1)
    np.testing.assert_allclose(cell_bounds(query, cells), keys @ query / np.sqrt(6))


def check_adaptive() -> None:
    for seed in range(20):
        query, keys, starts, lengths = draw(seed)
        cells = Cells.around(keys, starts, lengths, cell=4)
        scores = keys @ query / np.sqrt(6)
        mass, each = np.exp(scores), cell_bounds(query, cells) + np.log(cells.sizes)
        nums = []
        for limit in (0.5, 0.1, 0.01):
            num = tokens_for_bound(scores, cells, each, log_kept=0.0, bound=limit)
            read = np.zeros(len(keys), dtype=bool)
            for cell in np.argsort(-each, kind="stable"):
                if read.sum() < num:
                    read[cells.starts[cell] : cells.starts[cell] + cells.sizes[cell]] = True
            assert read.sum() == num
            assert mass[~read].sum() / (1 + mass.sum()) <= limit + 1e-12
            nums.append(num)
        assert nums == sorted(nums)


def test_the_adaptive_budget_meets_the_bound() -> None:
    check_adaptive()


def test_planted_adaptive_budget_that_reads_the_worst(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = missed_bound
    monkeypatch.setattr(bound, "missed_bound", lambda kept, unread: exact(kept + 3, unread))
    with pytest.raises(AssertionError):
        check_adaptive()


def test_a_head_by_brute_force() -> None:
    query, keys, starts, lengths = draw(3)
    keys = np.concatenate((keys, keys[:4] + 0.1))  # local tokens behind the far ones
    read = np.arange(len(keys)) % 3 == 0
    read[-4:] = True
    known = np.arange(len(keys)) % 2 == 0
    (found,) = head_bounds(query[None], keys, (starts, lengths), (read, ~read & False), 0.1)
    mass = np.exp(keys @ query / np.sqrt(6))
    assert found[1] == pytest.approx(mass[~read].sum() / mass.sum())
    assert found[1] <= found[0] < 1 and 0 <= found[2] <= lengths.sum()
    (tighter,) = head_bounds(query[None], keys, (starts, lengths), (read, known), 0.1)
    assert found[1] == tighter[1] <= tighter[0] < found[0]
    (exact,) = head_bounds(query[None], keys, (starts, lengths), (read, known | True), 0.1)
    assert exact[0] == pytest.approx(exact[1])
    (all_read,) = head_bounds(query[None], keys, (starts, lengths), (read | True, known), 0.1)
    assert all_read[:2] == (0.0, 0.0)
