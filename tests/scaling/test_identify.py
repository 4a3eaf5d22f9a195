"""What runs cannot tell is said, and no number is invented for it."""

import numpy as np
import pytest
from fixtures.planted_laws import CHINCHILLA, grid_columns

from burnish.base.errors import InputError
from burnish.scaling.analyse import analyse
from burnish.scaling.fitting import fit_law
from burnish.scaling.identify import check_identified, report
from burnish.scaling.laws import laws
from burnish.scaling.settings import FitSettings


def refusal(spec, runs):
    with pytest.raises(InputError) as caught:
        check_identified(spec, laws.parse(spec), runs)
    assert len(str(caught.value)) <= 400
    return str(caught.value)


def test_what_runs_cannot_tell_is_said(planted):
    one_size = planted(columns=grid_columns(sizes=(1e8,), tokens=(2e8, 1e9, 5e9, 1e10, 2e10, 5e10)))
    said = refusal("chinchilla", one_size)
    assert "alpha" in said and "n takes one value only" in said and "--law data" in said
    one_amount = planted(columns=grid_columns(sizes=np.geomspace(1e7, 1e9, 7), tokens=(1e9,)))
    said = refusal("chinchilla", one_amount)
    assert "beta" in said and "--law size" in said
    n = np.geomspace(1e6, 3e7, 8)
    ratio = {"n": n, "d": 20 * n, "c": 120 * n * n, "e": np.ones(8), "k": np.ones(8)}
    said = refusal("chinchilla", planted(columns=ratio))
    assert "alpha, beta" in said and "--law compute" in said
    assert "gamma" in refusal("experts", planted())
    assert "granularity" in refusal("krajewski", planted())
    assert "at least 6 runs" in refusal("chinchilla", planted().take(np.array([0, 1, 5, 8, 9])))


def test_kaplan_and_clark_say_it_too(planted):
    one_size = planted(columns=grid_columns(sizes=(1e8,), tokens=np.geomspace(2e8, 5e10, 7)))
    assert "alpha_N" in refusal("kaplan", one_size)
    assert "E_max" in refusal("clark", planted())


def test_a_flat_direction_is_named(planted):
    """One batch tells no exponent of the batch; wide intervals are told in words."""
    columns = dict(grid_columns(sizes=np.geomspace(1e7, 1e9, 5), tokens=np.geomspace(1e8, 1e10, 5)))
    columns["batch"] = 1e5 * columns["d"] ** 0
    runs = planted(columns=columns)
    assert "gamma" in refusal("three-term", runs)
    law = laws.parse("chinchilla")
    fit = fit_law(law, runs.columns, runs.loss, FitSettings(resamples=0))
    condition, weak = report(fit, runs, {"A": [1.0, 1e5], "alpha": [-0.1, 0.4]})
    assert condition > 1e3
    assert any("A is known to a factor of 1e+05" in line for line in weak)
    assert "the sign of alpha is not resolved" in weak


def test_all_that_is_identified_has_an_interval(planted):
    told = analyse("chinchilla", planted(noise=0.002), FitSettings(resamples=100)).told
    assert set(told["intervals"]) == {*CHINCHILLA, "allocation_exponent"}
