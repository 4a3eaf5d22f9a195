"""What every launcher promises, over everything that is registered."""

import importlib.util
from collections.abc import Callable
from typing import Any

import pytest
from fixtures.work import OddError, fail_on_three, square, square_late_first

from burnish.contracts.launcher import Launcher
from burnish.distrib import launchers

SPECS = {  # each method under several settings, where it has any
    "processes": ["processes:workers=1", "processes:workers=3", "processes"],
    "ray": ["ray:in_flight=1", "ray"],
}
ALL = [spec for name in launchers.names() for spec in SPECS.get(name, [name])]


@pytest.fixture(params=ALL)
def launcher(request: pytest.FixtureRequest) -> Launcher:
    if request.param.startswith("ray") and importlib.util.find_spec("ray") is None:
        pytest.skip('Ray is not installed: pip install "burnish[ray]"')
    return launchers.parse(request.param)


def check_same_answers(map_items: Callable[..., Any]) -> None:
    """Equal to the plain map, in its order, whichever item ends first."""
    items = list(range(9))
    assert list(map_items(square, items)) == [n * n for n in items]
    assert list(map_items(square_late_first, items)) == [n * n for n in items]


def test_same_answers_in_order(launcher: Launcher) -> None:
    check_same_answers(launcher.map)


def test_planted_answers_as_they_come() -> None:
    from concurrent.futures import ThreadPoolExecutor, as_completed

    def unordered(fn: Any, items: Any) -> Any:
        with ThreadPoolExecutor(4) as pool:
            for future in as_completed([pool.submit(fn, item) for item in items]):
                yield future.result()

    with pytest.raises(AssertionError):
        check_same_answers(unordered)


def test_exceptions_are_raised_at_their_place(launcher: Launcher) -> None:
    answers = launcher.map(fail_on_three, range(6))
    assert [next(answers) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OddError) as caught:
        next(answers)
    assert caught.value.number == 3


def test_no_items(launcher: Launcher) -> None:
    assert list(launcher.map(square, [])) == []


def test_leaving_early_is_allowed(launcher: Launcher) -> None:
    answers = launcher.map(square, range(50))
    assert next(answers) == 0
    if close := getattr(answers, "close", None):
        close()


def test_a_launcher_may_be_used_again(launcher: Launcher) -> None:
    assert list(launcher.map(square, [2])) == list(launcher.map(square, [2])) == [4]


def test_spec_round_trip(launcher: Launcher) -> None:
    assert isinstance(launcher, Launcher)
    assert launchers.parse(launchers.spec(launcher)) == launcher
