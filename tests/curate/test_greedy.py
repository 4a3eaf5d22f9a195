"""The blocked walk against the definition, row by row; known chains; properties."""

import numpy as np
import pytest

from burnish.base.errors import InputError, SettingError
from burnish.base.rng import stream
from burnish.curate import greedy as module
from burnish.curate.greedy import budget_curve, greedy

CHAIN = np.array([[1.0, 0.0], [0.939693, 0.34202], [0.766044, 0.642788]])
WINDOW = np.eye(4)[[0, 1, 2, 3, 2, 3]]


def vectors(seed=1, num=211, width=5):
    return stream(seed, "vectors").normal(size=(num, width))


def sequential(rows, threshold, budget=None):
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    chosen = []
    for i in range(len(unit)):
        if budget is not None and len(chosen) == budget:
            break
        if all(unit[i] @ unit[j] <= threshold for j in chosen):
            chosen.append(i)
    return chosen


def check_sequential():
    rows = vectors()
    for threshold in (0.3, 0.7, 0.945):
        for block in (1, 2, 7, 64, 1000):
            found = greedy(rows, threshold=threshold, block_rows=block)
            assert found.chosen.tolist() == sequential(rows, threshold)
    assert greedy(rows, threshold=0.7, budget=9, block_rows=7).chosen.tolist() == sequential(
        rows, 0.7, 9
    )


def test_equals_the_sequential_definition():
    check_sequential()


def test_planted_comparison_with_rejected_rows(monkeypatch):
    """Rejected rows of the block count, as in DEITA's filter."""
    from burnish.curate.rivals import deita_rule

    def batched(rows, *, threshold, budget=None, block_rows=512):
        chosen = deita_rule(rows, threshold=threshold, batch_rows=block_rows)[:budget]
        return module.Selection(chosen, np.zeros(len(rows)), np.zeros(len(rows)))

    monkeypatch.setitem(globals(), "greedy", batched)
    with pytest.raises(AssertionError):
        check_sequential()


@pytest.mark.parametrize("block", [1, 2, 3, 4, 5, 6])
def test_known_chains(block):
    assert greedy(CHAIN, threshold=0.9, block_rows=block).chosen.tolist() == [0, 2]
    assert greedy(WINDOW, threshold=0.945, block_rows=block).chosen.tolist() == [0, 1, 2, 3]
    near = np.array([[1.0, 0.0], [0.990268, 0.139173], [0.087156, 0.996195]])
    assert greedy(near, threshold=0.945, block_rows=block).chosen.tolist() == [0, 2]


def test_every_rejected_row_has_a_chosen_one_before_it():
    rows = vectors(2)
    found = greedy(rows, threshold=0.6)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    among = (unit @ unit.T)[np.ix_(found.chosen, found.chosen)]
    assert (among - np.eye(len(among)) <= 0.6 + 1e-6).all()
    for row in set(range(len(rows))) - set(found.chosen.tolist()):
        assert found.by[row] in found.chosen and found.by[row] < row
        assert unit[row] @ unit[found.by[row]] == pytest.approx(found.nearest[row], abs=1e-6) and (
            found.nearest[row] > 0.6
        )


def test_the_curve_equals_single_walks():
    rows = vectors(3)
    curve = budget_curve(rows, thresholds=(0.4, 0.8), block_rows=13)
    for threshold, counts in curve.items():
        chosen = sequential(rows, threshold)
        assert counts.tolist() == [sum(c <= i for c in chosen) for i in range(len(rows))]


def test_without_a_threshold_the_first_rows_are_taken():
    assert greedy(vectors(), threshold=1.0, budget=5).chosen.tolist() == [0, 1, 2, 3, 4]
    assert greedy(np.zeros((0, 3)), threshold=0.5).chosen.tolist() == []


def test_wrong_vectors():
    with pytest.raises(InputError, match="embedding 1"):
        greedy(np.array([[1.0, 0.0], [0.0, 0.0]]), threshold=0.5)
    with pytest.raises(InputError):
        greedy(np.array([[np.nan, 0.0]]), threshold=0.5)
    with pytest.raises(SettingError):
        greedy(vectors(), threshold=0.5, block_rows=0)
