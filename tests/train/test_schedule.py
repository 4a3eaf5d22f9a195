"""The learning rate against its formulas, written out by hand."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from burnish.base.errors import SettingError
from burnish.train.schedule import WSD, Cosine, Schedule
from burnish.train.settings import TrainSettings

Rate = Callable[[Schedule, int, int], float]


def exact(schedule: Schedule, step: int, num_steps: int) -> float:
    return schedule.rate(8.0, step, num_steps)


def rates(fn: Rate, num_steps: int, **settings: Any) -> list[float]:
    schedule = TrainSettings(**settings).make_schedule()
    return [fn(schedule, step, num_steps) for step in range(num_steps)]


def check_closed_form(fn: Rate) -> None:
    quarter = math.sqrt(0.5) / 2  # cos(pi / 4) / 2
    cosine = [2.0, 4.0, 6.0, 8.0, 8 * (0.5 + quarter), 4.0, 8 * (0.5 - quarter)]
    warm = {"warmup_frac": 3 / 7}
    assert rates(fn, 7, schedule="cosine", **warm) == pytest.approx(cosine)
    assert rates(fn, 7, schedule="linear", **warm) == [2.0, 4.0, 6.0, 8.0, 6.0, 4.0, 2.0]
    assert rates(fn, 7, schedule="constant", **warm) == [2.0, 4.0, 6.0, 8.0, 8.0, 8.0, 8.0]
    assert rates(fn, 4, schedule="linear", warmup_frac=0.0) == [8.0, 6.0, 4.0, 2.0]
    assert rates(fn, 1, schedule="cosine", warmup_frac=0.1) == [8.0]
    floor = {"warmup_frac": 0.0, "final_frac": 0.25}
    assert rates(fn, 4, schedule="linear", **floor) == [8.0, 6.5, 5.0, 3.5]
    # ten steps: two warm up, four are stable, four decay by 1 - sqrt(0, 1/4, 2/4, 3/4)
    wsd = {"schedule": "wsd", "warmup_frac": 0.2, "decay_frac": 0.4}
    decay = [8.0, 4.0, 8 * (1 - math.sqrt(0.5)), 8 * (1 - math.sqrt(0.75))]
    assert rates(fn, 10, **wsd) == pytest.approx([8 / 3, 16 / 3, *[8.0] * 4, *decay])
    straight = WSD(warmup_frac=0.2, decay_frac=0.4, shape="linear", final_frac=0.5)
    found = [fn(straight, step, 10) for step in range(6, 10)]
    assert found == pytest.approx([8.0, 7.0, 6.0, 5.0])


def test_closed_form() -> None:
    check_closed_form(exact)


def test_planted_cosine_over_all_steps() -> None:
    def whole(schedule: Schedule, step: int, num_steps: int) -> float:
        scale = 0.5 * (1 + math.cos(math.pi * step / num_steps))
        return min(exact(schedule, step, num_steps), 8.0 * scale)

    with pytest.raises(AssertionError):
        check_closed_form(whole)


def test_planted_first_step_at_rate_zero() -> None:
    with pytest.raises(AssertionError):
        check_closed_form(lambda schedule, step, n: exact(schedule, max(0, step - 1), n))


def test_planted_decay_of_what_warm_up_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty percent of eight steps are not forty percent of ten."""
    scale = WSD._scale

    def shorter(self: WSD, done: float) -> float:
        return scale(WSD(warmup_frac=0.0, decay_frac=self.decay_frac, shape=self.shape), done)

    monkeypatch.setattr(WSD, "_scale", shorter)
    with pytest.raises(AssertionError):
        check_closed_form(exact)


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant", "wsd"])
@pytest.mark.parametrize("num_steps", [1, 2, 9, 200])
@pytest.mark.parametrize("warmup_frac", [0.0, 0.1, 0.5, 0.8])
def test_every_step_learns(schedule: Any, num_steps: int, warmup_frac: float) -> None:
    """Up to the peak, down from it, never zero, never over."""
    found = rates(exact, num_steps, schedule=schedule, warmup_frac=warmup_frac)
    top = found.index(max(found))
    assert 0 < min(found) <= max(found) <= 8.0
    assert found[: top + 1] == sorted(found[: top + 1])
    assert found[top:] == sorted(found[top:], reverse=True)


def test_stable_phase_knows_no_end() -> None:
    """A longer run has the same rates until the shorter one decays; the warm-up is the same."""
    short = WSD(warmup_frac=0.1, decay_frac=0.2)
    long = WSD(warmup_frac=0.05, decay_frac=0.2)
    for step in range(80):
        assert short.rate(8.0, step, 100) == long.rate(8.0, step, 200)
    assert short.rate(8.0, 85, 100) < long.rate(8.0, 85, 200)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("examples_per_step", 0),
        ("pass_tokens", 0),
        ("save_every_steps", 0),
        ("learning_rate", 0.0),
        ("warmup_frac", 1.0),
        ("warmup_frac", -0.1),
        ("final_frac", 1.5),
        ("weight_decay", -0.1),
        ("eps", 0.0),
    ],
)
def test_settings_that_cannot_be(name: str, value: float) -> None:
    with pytest.raises(SettingError, match=rf"{name} must .* got {value}"):
        TrainSettings(**{name: value})


def test_settings_of_parts_that_cannot_be() -> None:
    with pytest.raises(SettingError, match=r"decay_frac must lie in \[0, 0.5\].* got 0.6"):
        TrainSettings(schedule="wsd", warmup_frac=0.5, decay_frac=0.6)
    with pytest.raises(SettingError, match=r"momentum must lie in \[0, 1\), got 1.0"):
        TrainSettings(optimizer="muon", momentum=1.0)
    with pytest.raises(SettingError, match=r"betas must lie in \[0, 1\)"):
        TrainSettings(betas=(0.9, 1.0))
    assert isinstance(TrainSettings(decay_frac=0.99).make_schedule(), Cosine)  # not asked about
