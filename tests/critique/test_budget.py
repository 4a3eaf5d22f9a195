"""Budgets, against brute force."""

import itertools

import pytest

from burnish.base.errors import SettingError
from burnish.critique import budget
from burnish.critique.budget import allocate, smoothed


def check_brute(allocate):
    for rates in ([0.1, 0.5, 0.3], [0.9, 0.05, 0.05], [0.5, 0.5, 0.01], [0.0, 0.2, 0.2]):
        for total in range(7):
            value = lambda given: sum(1 - (1 - q) ** m for q, m in zip(rates, given, strict=True))  # noqa: B023, E731
            options = itertools.product(range(5), repeat=3)
            best = max(value(given) for given in options if sum(given) <= total)
            given = allocate(rates, total, cap=4)
            assert sum(given) <= total and max(given) <= 4
            assert value(given) == pytest.approx(best)


def test_greedy_equals_brute_force():
    check_brute(allocate)


def test_planted_budget_that_ignores_what_was_given(monkeypatch):
    real = budget.heapq.heappush
    monkeypatch.setattr(budget.heapq, "heappush", lambda heap, item: real(heap, (-1.0, item[1])))
    with pytest.raises(AssertionError):
        check_brute(allocate)


def test_rates_are_smoothed_and_budgets_not_negative():
    assert smoothed(0, 0) == 0.5 and smoothed(3, 4) == pytest.approx(4 / 6)
    with pytest.raises(SettingError):
        allocate([0.5], -1, cap=3)
