"""Which run next, against refitting with that run."""

import numpy as np
import pytest
from fixtures.planted_laws import grid_columns

from burnish.scaling import design as module
from burnish.scaling.design import RIDGE, next_run
from burnish.scaling.fitting import fit_law, jacobian
from burnish.scaling.laws import laws
from burnish.scaling.runs import Runs
from burnish.scaling.settings import FitSettings

TARGET = {"n": np.array([1e9]), "d": np.array([2e10]), "c": np.array([1.2e20]),
          "e": np.array([1.0]), "k": np.array([1.0])}  # fmt: skip


def with_run(runs, row):
    columns = {
        name: np.append(values, row[name] if name in row else values[-1])
        for name, values in runs.columns.items()
    }
    return Runs(columns=columns, given=(), lines=(), counts="x")


def prediction_variance(fit, runs, target):
    """Variance of the predicted log loss, in units of the noise variance of the runs."""
    have = jacobian(fit.law.surface(runs.columns), fit.theta, len(runs.loss))
    aim = jacobian(fit.law.surface(target), fit.theta, 1)[0]
    return float(aim @ np.linalg.pinv(have.T @ have, rcond=RIDGE) @ aim)


def check_refitting(planted, next_run=next_run):
    runs = planted(noise=0.005)
    fit = fit_law(laws.parse("chinchilla"), runs.columns, runs.loss, FitSettings(resamples=0))
    offers = grid_columns(sizes=(1e7, 1e9), tokens=(1e8, 2e10))
    found = next_run(fit, runs, offers, TARGET)
    today = prediction_variance(fit, runs, TARGET)
    for row in found:
        after = prediction_variance(fit, with_run(runs, row), TARGET)
        assert row["variance_cut"] == pytest.approx(1 - after / today, abs=1e-6)
    assert [row["cut_per_flop"] for row in found] == sorted(
        (row["cut_per_flop"] for row in found), reverse=True)  # fmt: skip


def test_equals_refitting_with_the_run(planted):
    check_refitting(planted)


def test_planted_cut_without_the_runs_own_leverage(planted, monkeypatch):
    einsum = np.einsum

    def without(*given):
        with monkeypatch.context() as patch:
            patch.setattr(np, "einsum", lambda *a: 0 * einsum(*a))
            return module.next_run(*given)

    with pytest.raises(AssertionError):
        check_refitting(planted, without)
