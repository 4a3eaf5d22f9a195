"""Critical batch on a quadratic whose trade-off is known."""

import numpy as np
import pytest

from burnish.base.errors import InputError, SettingError
from burnish.scaling import critical as module
from burnish.scaling.critical import adam_lr, critical_batch, rates_near, sgd_lr

NOISE, START, GOAL = 40.0, 1.0, 0.01  # tr(Sigma) over |G|^2 is held at NOISE


def steps_to_goal(batch):
    """Steps of SGD at its best rate: each multiplies the excess loss by 1 - 1 / (1 + noise / B).

    In the limit of many small steps, which is what the trade-off describes.
    """
    rate = 1e-3 / (1 + NOISE / batch)
    return np.log(GOAL / START) / np.log1p(-rate)


def check_trade_off():
    batch = np.array([4.0, 8, 16, 32, 64, 128, 256])
    noise = np.exp(0.02 * np.random.default_rng(0).standard_normal(7))
    exact = critical_batch(batch, steps_to_goal(batch), resamples=100)
    assert exact["critical_batch"] == pytest.approx(NOISE, rel=1e-3)
    s, e = steps_to_goal(batch), batch * steps_to_goal(batch)
    product = (s / exact["min_steps"] - 1) * (e / exact["min_examples"] - 1)
    assert product == pytest.approx(np.ones(7), rel=5e-3)
    noisy = critical_batch(batch, steps_to_goal(batch) * noise, resamples=300)
    assert noisy["low"] < NOISE < noisy["high"]


def test_a_noisy_quadratic_has_this_trade_off():
    check_trade_off()


def test_planted_ratio_upside_down(monkeypatch):
    fit = module.trade_off
    monkeypatch.setattr(module, "trade_off", lambda *a: fit(*a)[::-1])
    with pytest.raises(AssertionError):
        check_trade_off()


def test_what_shows_no_trade_off_is_refused():
    with pytest.raises(InputError, match="three values"):
        critical_batch(np.array([1.0, 1, 2]), np.array([3.0, 3, 2]))
    with pytest.raises(InputError, match="must fall"):
        critical_batch(np.array([1.0, 2, 4, 8]), np.array([1.0, 2, 4, 8]))


def test_sgd_rate_is_the_best_step():
    """On a quadratic, expected loss after a step is 1/2 - r + r^2 (1 + noise / B) / 2."""
    for batch in (5.0, 40.0, 400.0):
        rates = np.linspace(0, 2, 200001)
        after = 0.5 - rates + rates**2 * (1 + NOISE / batch) / 2
        assert sgd_lr(1.0, np.array([batch]), NOISE)[0] == pytest.approx(
            rates[np.argmin(after)], abs=1e-4)  # fmt: skip


def test_adam_rate_is_largest_at_the_noise_scale():
    batch = np.geomspace(1, 1600, 2001)
    rates = adam_lr(3.0, batch, NOISE)
    assert batch[np.argmax(rates)] == pytest.approx(NOISE, rel=0.01)
    assert rates.max() == pytest.approx(3.0, rel=1e-4)
    small = adam_lr(3.0, np.array([0.01, 0.04]), NOISE)
    assert small[1] / small[0] == pytest.approx(2, rel=1e-3)  # square root of the batch


def test_rates_pass_through_the_known_one():
    """At the noise scale Adam's rate is largest; SGD's doubles from there to the limit."""
    rows = rates_near(NOISE, f"0.003@{NOISE}")
    assert [row["batch"] / NOISE for row in rows] == [0.125, 0.25, 0.5, 1, 2, 4, 8]
    assert rows[3]["adam"] == rows[3]["sgd"] == pytest.approx(0.003)
    assert [row["adam"] for row in rows] == pytest.approx([row["adam"] for row in rows[::-1]])
    assert rows[1]["sgd"] == pytest.approx(0.003 * 2 / 5) and rows[5]["sgd"] == pytest.approx(
        0.003 * 8 / 5)  # fmt: skip
    for wrong in ("0.003", "a@5", "0@5", "1@inf", "1@"):
        with pytest.raises(SettingError, match="RATE@BATCH"):
            rates_near(NOISE, wrong)


def test_a_table_of_steps_from_the_shell(burnish, tmp_path):
    batch = np.array([4.0, 8, 16, 32, 64, 128, 256])
    steps = np.round(steps_to_goal(batch), 3)
    path = tmp_path / "steps.csv"
    path.write_text("Batch,steps\n" + "".join(f"{b},{s}\n" for b, s in zip(batch, steps)))  # noqa: B905
    done = burnish("scaling", "noise", path, "--confidence", "0.9", "--json")
    wanted = critical_batch(batch, steps)
    assert done.json == pytest.approx(wanted) and done.json["critical_batch"] == pytest.approx(
        NOISE, rel=1e-3)  # fmt: skip
    named = burnish("scaling", "noise", path, "--columns", "batch=Batch,steps=steps")
    assert "critical_batch" in named.out
    path.write_text("batch,steps\n4,3\n8,-1\n16,2\n")
    refused = burnish("scaling", "noise", path)
    assert refused.status == 2
    assert "steps.csv:3 column steps must be a number above zero, got '-1'" in refused.err
    refused = burnish("scaling", "noise", path, "--lr", "0.1@3")
    assert refused.status == 2 and "steps.csv:3" in refused.err
    path.write_text("batch,steps\n4,3\n8,2\n16,2\n")
    refused = burnish("scaling", "noise", path, "--lr", "0.1@3")
    assert refused.status == 2 and "gradient norms" in refused.err
    path.write_text("batch,stepz\n4,3\n8,2\n16,2\n")
    refused = burnish("scaling", "noise", path)
    assert refused.status == 2 and "--columns steps=stepz" in refused.err
