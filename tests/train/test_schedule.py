"""The learning rate against its formulas, written out by hand."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from burnish.base.errors import SettingError
from burnish.train.schedule import learning_rate
from burnish.train.settings import TrainSettings

Rate = Callable[[TrainSettings, int, int], float]


def rates(fn: Rate, num_steps: int, **settings: Any) -> list[float]:
    given = TrainSettings(learning_rate=8.0, **settings)
    return [fn(given, step, num_steps) for step in range(num_steps)]


def check_closed_form(fn: Rate) -> None:
    quarter = math.sqrt(0.5) / 2  # cos(pi / 4) / 2
    cosine = [2.0, 4.0, 6.0, 8.0, 8 * (0.5 + quarter), 4.0, 8 * (0.5 - quarter)]
    warm = {"warmup_frac": 3 / 7}
    assert rates(fn, 7, schedule="cosine", **warm) == pytest.approx(cosine)
    assert rates(fn, 7, schedule="linear", **warm) == [2.0, 4.0, 6.0, 8.0, 6.0, 4.0, 2.0]
    assert rates(fn, 7, schedule="constant", **warm) == [2.0, 4.0, 6.0, 8.0, 8.0, 8.0, 8.0]
    assert rates(fn, 4, schedule="linear", warmup_frac=0.0) == [8.0, 6.0, 4.0, 2.0]
    assert rates(fn, 1, schedule="cosine", warmup_frac=0.1) == [8.0]


def test_closed_form() -> None:
    check_closed_form(learning_rate)


def test_planted_cosine_over_all_steps() -> None:
    def whole(settings: TrainSettings, step: int, num_steps: int) -> float:
        scale = 0.5 * (1 + math.cos(math.pi * step / num_steps))
        return min(learning_rate(settings, step, num_steps), settings.learning_rate * scale)

    with pytest.raises(AssertionError):
        check_closed_form(whole)


def test_planted_first_step_at_rate_zero() -> None:
    with pytest.raises(AssertionError):
        check_closed_form(lambda settings, step, n: learning_rate(settings, max(0, step - 1), n))


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
@pytest.mark.parametrize("num_steps", [1, 2, 9, 200])
@pytest.mark.parametrize("warmup_frac", [0.0, 0.1, 0.5, 0.99])
def test_every_step_learns(schedule: Any, num_steps: int, warmup_frac: float) -> None:
    """Up to the peak, down from it, never zero, never over."""
    found = rates(learning_rate, num_steps, schedule=schedule, warmup_frac=warmup_frac)
    top = found.index(max(found))
    assert 0 < min(found) <= max(found) <= 8.0
    assert found[: top + 1] == sorted(found[: top + 1])
    assert found[top:] == sorted(found[top:], reverse=True)


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
    ],
)
def test_settings_that_cannot_be(name: str, value: float) -> None:
    with pytest.raises(SettingError, match=rf"{name} must .* got {value}"):
        TrainSettings(**{name: value})
