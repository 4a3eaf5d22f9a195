"""Numbers that others published, computed again from their data."""

import numpy as np
import pytest

from burnish.scaling import fitting as fit_module
from burnish.scaling.fitting import fit_law
from burnish.scaling.laws import laws
from burnish.scaling.settings import FitSettings

QUICK = FitSettings(resamples=0)
LEAST = 0.00101828  # the best objective that anybody reported is 0.0010182740


def epoch_240(epoch):
    columns, loss = epoch
    return {name: values[:240] for name, values in columns.items()}, loss[:240]


def check_epoch(fit):
    assert fit.objective <= LEAST
    wanted = {"A": 477.83, "B": 2143.4, "sigma": 1.81722, "alpha": 0.34731, "beta": 0.36717}
    assert fit.natural == pytest.approx(wanted, rel=2e-5)


def test_epoch_objective(epoch):
    check_epoch(fit_law(laws.parse("chinchilla"), *epoch_240(epoch), QUICK))


def test_planted_mean_reduction_stops_early(epoch, monkeypatch):
    minimise = fit_module.minimise
    monkeypatch.setattr(
        fit_module, "minimise", lambda *a, **k: minimise(*a, **{**k, "tolerance": 1e-2})
    )
    monkeypatch.setattr(fit_module, "POLISHING", 0)
    with pytest.raises(AssertionError):
        check_epoch(fit_law(laws.parse("chinchilla"), *epoch_240(epoch), QUICK))


def test_five_points_move_the_exponent(epoch):
    law = laws.parse("chinchilla")
    fit = fit_law(law, *epoch, QUICK)
    assert fit.natural["alpha"] == pytest.approx(0.349, abs=1e-3)
    assert fit.natural["beta"] == pytest.approx(0.453, abs=1e-3)
    assert law.allocation(fit.natural)["all"] == pytest.approx(0.565, abs=1e-3)


def test_epoch_standard_errors(epoch):
    law = laws.parse("chinchilla")
    fit = fit_law(law, *epoch_240(epoch), FitSettings(resamples=300))
    natural = law.natural(fit.draws)
    alpha, beta = natural[:, 2], natural[:, 3]
    a = beta / (alpha + beta)
    assert alpha.std() == pytest.approx(0.0147, abs=0.0015)
    assert a.std() == pytest.approx(0.0191, abs=0.002)
    assert np.quantile(a, [0.1, 0.9]) == pytest.approx([0.494, 0.541], abs=0.005)


def gadre_rows(rows_of):
    rows = {row["name"]: row for row in rows_of("gadre.csv")}
    small = [f"d={d}_l={layers}_h={h}" for d, layers, h in
             ((96, 8, 4), (512, 8, 4), (576, 24, 8), (1024, 24, 8))]  # fmt: skip
    names = [f"rpj-{name}-1.0" for name in small] + [f"rpj-{small[0]}-16.0"]
    targets = ["rpj-open_lm_1b-32.0", "rpj-open_lm_7b-1.0"]
    return [rows[name] for name in names], [rows[name] for name in targets]


def columns_of(rows, loss):
    columns = {name: np.array([float(row[name]) for row in rows]) for name in ("n", "d")}
    return columns, np.array([float(row[loss]) for row in rows])


def test_gadre_predictions(rows_of):
    small, large = gadre_rows(rows_of)
    settings = FitSettings(delta=0, space="linear", resamples=0)
    fit = fit_law(laws.parse("gadre"), *columns_of(small, "loss_c4_val"), settings)
    columns, actual = columns_of(large, "loss_c4_val")
    errors = 100 * (fit.predict(columns) / actual - 1)
    assert errors == pytest.approx([0.7103, 0.7320], abs=6e-5)


def test_olmo_prediction(rows_of):
    rows = rows_of("olmo.csv")
    train = [row for row in rows if row["mode"] == "train"]
    fit = fit_law(laws.parse("chinchilla"), *columns_of(train, "loss"), QUICK)
    columns, actual = columns_of([row for row in rows if row["mode"] == "eval"], "loss")
    predicted = fit.predict(columns)
    assert predicted[1] == pytest.approx(2.3444, abs=5e-5)
    assert 100 * (predicted / actual - 1) == pytest.approx([-1.98, -3.83], abs=6e-3)
    wanted = {"alpha": 0.1036, "beta": 0.1620, "sigma": 0.934}
    assert {k: fit.natural[k] for k in wanted} == pytest.approx(wanted, abs=5e-4)


CLARK = {
    "RL-R": (-0.0827, -0.1234, 0.0112, 1.107, 1.72, 470),
    "Hash": (-0.0874, -0.1384, 0.0126, 1.160, 4.27, 427),
    "S-Base": (-0.083, -0.118, 0.0099, 1.114, None, None),
}


def clark_runs(rows_of, router):
    rows = [
        row for row in rows_of("clark.csv")
        if row["router"] in (router, "Dense") and row["seed"] == "42"
        and (row["k"], row["routing_frequency"]) == ("1", "0.5")
    ]  # fmt: skip
    columns = {name: np.array([float(row[name]) for row in rows]) for name in ("n", "e")}
    return columns, np.array([float(row["loss"]) for row in rows])


@pytest.mark.parametrize("router", CLARK)
def test_clark_coefficients(router, rows_of):
    columns, loss = clark_runs(rows_of, router)
    assert 56 <= len(loss) <= 59
    fit = fit_law(laws.parse("clark"), columns, loss, FitSettings(delta=0, resamples=0))
    *linear, start, most = CLARK[router]
    found = list(fit.natural.values())
    assert found[:4] == pytest.approx(linear, abs=6e-4)
    if start:
        assert found[4:] == pytest.approx([start, most], rel=0.005)
    rest = np.log(fit.predict(columns)) - np.log(loss)
    assert np.sqrt(np.square(rest).mean()) == pytest.approx(
        {"RL-R": 0.0074, "Hash": 0.0069, "S-Base": 0.0074}[router], abs=2e-4
    )


def check_four_parameters(rows_of, spec):
    """A N^-alpha E^-gamma + sigma, at one amount of data: RMSE of log loss and extrapolation."""
    for router, rmse, gamma in (("S-Base", 0.0055, 0.071), ("RL-R", 0.0055, 0.077)):
        columns, loss = clark_runs(rows_of, router)
        law = laws.parse(spec)
        fit = fit_law(law, columns, loss, FitSettings(delta=0, resamples=0))
        rest = np.log(fit.predict(columns)) - np.log(loss)
        assert np.sqrt(np.square(rest).mean()) == pytest.approx(rmse, abs=3e-4)
        assert fit.natural["gamma"] == pytest.approx(gamma, abs=2e-3)
        few = columns["e"] <= 64
        part = {name: values[few] for name, values in columns.items()}
        below = fit_law(law, part, loss[few], FitSettings(delta=0, resamples=0))
        rest = np.log(below.predict(columns)) - np.log(loss)
        assert np.sqrt(np.square(rest[~few]).mean()) <= 0.0105


def test_the_experts_term_extrapolates(rows_of):
    check_four_parameters(rows_of, "routed")
