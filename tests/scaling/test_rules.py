"""Rules of batch and learning rate."""

import numpy as np
import pytest

from burnish.base.errors import InputError, UnknownNameError
from burnish.scaling.rules import fit_rule, published_rules, rules_named, rules_of, tuned


def check_refit(fit):
    n, d = (x.reshape(-1) for x in np.meshgrid([1e8, 3e8, 1e9], [2e9, 1e10, 5e10]))
    found = fit("lr", ("n", "d"), {"n": n, "d": d, "lr": 1.79 * n**-0.713 * d**0.307})
    assert found.exponents == pytest.approx({"n": -0.713, "d": 0.307}, abs=1e-9)
    assert found.factor == pytest.approx(1.79, rel=1e-8)


def test_a_published_rule_is_refitted():
    check_refit(fit_rule)


def test_planted_logs_of_another_base():
    def wrong(target, names, columns):
        found = fit_rule(target, names, columns)
        return type(found)(**{**vars(found), "factor": np.log10(np.exp(found.factor))})

    with pytest.raises(AssertionError):
        check_refit(wrong)


def test_step_law_bootstrap_means(shared_data, rows_of):
    rows = rows_of(shared_data("steplaw/1004_fitted_lr_bs_scaling_model_parameters.csv"))
    means = {k: np.mean([float(row[k]) for row in rows]) for k in rows[0]}
    assert len(rows) == 1000
    lr, batch = published_rules()["step-law"]["lr"], published_rules()["step-law"]["batch"]
    found = [np.exp(means["lr_intercept"]), means["lr_coefN"], means["lr_coefD"]]
    factors = [np.mean(np.exp([float(row[k]) for row in rows]))
               for k in ("lr_intercept", "bs_intercept")]  # fmt: skip
    assert means["lr_coefN"] == pytest.approx(-0.7129, abs=6e-5)
    assert means["lr_coefD"] == pytest.approx(0.3075, abs=6e-5)
    assert means["bs_coefD"] == pytest.approx(0.5709, abs=6e-5)
    assert (found[0], np.exp(means["bs_intercept"])) == pytest.approx((1.797, 0.5807), abs=6e-4), (
        factors
    )
    assert (lr.factor, *lr.exponents.values()) == pytest.approx((1.797, -0.7129, 0.3075), abs=8e-3)
    assert (batch.factor, *batch.exponents.values()) == pytest.approx((0.5807, 0.5709), abs=1e-3)


def test_rules_give_their_formula():
    columns = {"n": np.array([1e9]), "d": np.array([1e11]), "c": np.array([6e20]),
               "loss": np.array([2.0]), "e": np.array([8.0])}  # fmt: skip
    step, deep = rules_named("step-law"), rules_named("deepseek")
    assert step["lr"](columns)[0] == pytest.approx(1.79 * 1e9**-0.713 * 1e11**0.307)
    assert step["batch"](columns)[0] == pytest.approx(0.58 * 1e11**0.571)
    assert deep["lr"](columns)[0] == pytest.approx(0.3118 * 6e20**-0.125)
    assert deep["batch"](columns)[0] == pytest.approx(0.2920 * 6e20**0.3271)
    wanted = np.exp(8.39 - 0.81 * np.log(1e9) - 0.25 * np.log(8))
    assert rules_named("joint-moe")["lr"](columns)[0] == pytest.approx(wanted)
    assert rules_named("kaplan")["batch"](columns)[0] == pytest.approx(2e8 * 2.0 ** (-1 / 0.21))
    with pytest.raises(UnknownNameError, match="step-law"):
        rules_named("step law")


def cells(planted):
    """Nine cells of five learning rates each, with a parabola of losses around the best one."""
    runs = planted()
    n, d = np.repeat(runs.columns["n"], 5), np.repeat(runs.columns["d"], 5)
    best = 1.79 * n**-0.713 * d**0.307
    way = np.tile([-2, -1, 0, 1, 2], len(runs.loss))
    columns = {"n": n, "d": d, "c": 6 * n * d, "e": 1 + 0 * n, "k": 1 + 0 * n,
               "lr": best * 1.5**way}  # fmt: skip
    found = planted(columns=columns)
    loss = found.loss * (1 + 0.01 * way**2)
    return type(found)(columns=columns | {"loss": loss}, given=[], lines=found.lines, counts="x")


def test_only_the_best_of_each_cell_counts(planted):
    runs = cells(planted)
    best, rows = tuned(runs)
    assert len(best.loss) == 12 and "12 cells" in rows
    found = rules_of(runs)
    assert found["lr in n and d"]["exponents"] == pytest.approx({"n": -0.713, "d": 0.307}, abs=1e-9)
    assert found["log_base"] == "e"


def test_what_is_not_varied_gives_no_rule(planted):
    runs = planted()
    columns = {**runs.columns, "lr": 1e-3 + 0 * runs.loss, "n": 1e8 + 0 * runs.loss}
    with pytest.raises(InputError, match="independently"):
        fit_rule("lr", ("n", "d"), columns)
    assert rules_of(runs) is None
