"""Extrapolation to the largest runs."""

import numpy as np
import pytest

from burnish.scaling import holdout as module
from burnish.scaling.holdout import holdout_error, split_by_compute
from burnish.scaling.laws import laws
from burnish.scaling.settings import FitSettings

QUICK = FitSettings(resamples=0)


def check_split(split, runs):
    below, above = split(runs, 1 / 3)
    assert below.columns["c"].max() < above.columns["c"].min()
    assert len(below.loss) + len(above.loss) == len(runs.loss)
    assert len(above.loss) >= len(runs.loss) // 3


def test_the_largest_runs_are_held_out(planted):
    check_split(split_by_compute, planted())


def test_planted_split_of_the_first_rows(planted):
    def first(runs, share):
        place = np.arange(len(runs.loss)) < len(runs.loss) * share
        return runs.take(~place), runs.take(place)

    with pytest.raises(AssertionError):
        check_split(first, planted())


def test_a_planted_law_extrapolates(planted):
    found = holdout_error("chinchilla", laws.parse("chinchilla"), planted(), QUICK)
    assert found["median"] < 1e-6 and found["worst"] < 1e-6 and found["factor"] > 1
    base = holdout_error("compute", laws.parse("compute"), planted(), QUICK)
    assert base["median"] > 0.01


def test_too_few_smaller_runs_give_no_number(planted):
    found = holdout_error(
        "chinchilla", laws.parse("chinchilla"), planted().take(np.arange(6)), QUICK
    )
    assert found["median"] is None and "does not identify" in found["why"]
    assert module.split_by_compute(planted().take(np.array([0])), 0.3)[0].loss.tolist() == []
