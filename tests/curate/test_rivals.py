"""What other rules do, and where they differ from the exact walk."""

import numpy as np

from burnish.base.rng import stream
from burnish.curate.greedy import greedy
from burnish.curate.rivals import deita_rule, distilabel_rule

ROWS = stream(5, "rivals").normal(size=(301, 4))


def test_batches_of_one_are_exact():
    exact = greedy(ROWS, threshold=0.7).chosen.tolist()
    assert deita_rule(ROWS, threshold=0.7, batch_rows=1).tolist() == exact
    assert deita_rule(ROWS, threshold=0.7, batch_rows=301).tolist() != exact


def test_both_of_a_pair_vanish():
    pair = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.01, 0.0], [0.0, 0.0, 1.0]])
    assert distilabel_rule(pair, threshold=0.9, block_rows=3).tolist() == [1, 3]
    assert greedy(pair, threshold=0.9).chosen.tolist() == [0, 1, 3]
