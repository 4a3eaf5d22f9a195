"""How a budget of refinements is divided among tasks."""

import heapq
from collections.abc import Sequence

from burnish.base.errors import SettingError


def smoothed(right: int, tried: int) -> float:
    """The rate of success under a Beta(1, 1) prior."""
    return (right + 1) / (tried + 2)


def allocate(rates: Sequence[float], budget: int, *, cap: int) -> list[int]:
    """Refinements for each task, spent one by one where the chance of a first success rises most.

    The gains 1 - (1 - q)^m are concave, so the greedy choice is the optimum. No task gets more
    than `cap`; the total never exceeds `budget`. Raises: SettingError, for a negative budget.
    Source: ours. Oracle: tests/critique/test_budget.py::test_greedy_equals_brute_force
    """
    if budget < 0 or cap < 0:
        raise SettingError("budget", min(budget, cap), "must not be negative", remedy="Raise it")
    given = [0] * len(rates)
    heap = [(-rate, index) for index, rate in enumerate(rates) if cap and rate > 0]
    heapq.heapify(heap)
    for _ in range(budget):
        if not heap:
            break
        gain, index = heapq.heappop(heap)
        given[index] += 1
        if given[index] < cap:
            heapq.heappush(heap, (gain * (1 - rates[index]), index))
    return given
