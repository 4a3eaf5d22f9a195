"""Windows: every target once an epoch, mixtures by weight, positions."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from burnish.base.errors import InputError
from burnish.data import windows
from burnish.data.windows import WindowCursor


class Tokens:
    """A stream in memory: token i is `first + i`."""

    def __init__(self, num: int, first: int = 0) -> None:
        self._tokens = np.arange(first, first + num)

    def __len__(self) -> int:
        return len(self._tokens)

    def read(self, begin: int, end: int) -> np.ndarray:
        return self._tokens[begin:end]


def make_cursor(*streams: Tokens, context: int = 8, **given: Any) -> WindowCursor:
    settings = {"weights": None, "filling": 999, "seed": 3, **given}
    return WindowCursor(streams, context=context, **settings)  # type: ignore[arg-type]


def check_targets(num: int, context: int, num_windows: int) -> None:
    cursor = make_cursor(Tokens(num), context=context)
    for _ in range(3):
        found = [cursor.take() for _ in range(num_windows)]
        targets = [int(t) for one in found for t in one.tokens[1 : 1 + one.num_terms]]
        assert sorted(targets) == list(range(1, num))
        assert {len(one) for one in found} == {context}


@pytest.mark.parametrize(
    ("num", "context", "num_windows"),
    [(33, 8, 4), (31, 8, 4), (9, 8, 1), (10, 8, 2), (2, 8, 1)],
)
def test_every_token_is_a_target_once_an_epoch(num: int, context: int, num_windows: int) -> None:
    """33 tokens make 4 whole windows; 31 make 3 and a filled one of 6 targets."""
    check_targets(num, context, num_windows)


def test_planted_gap_between_windows(monkeypatch: Any) -> None:
    exact = WindowCursor.window

    def skipping(self: Any, part: int, number: int) -> Any:
        found = exact(self, part, number)
        return windows.Window(tokens=found.tokens + number, num_terms=found.num_terms)

    monkeypatch.setattr(WindowCursor, "window", skipping)
    with pytest.raises(AssertionError):
        check_targets(33, 8, 4)


def test_each_epoch_has_its_own_order() -> None:
    cursor = make_cursor(Tokens(801))
    first, second = ([int(cursor.take().tokens[0]) for _ in range(100)] for _ in range(2))
    assert first != second and sorted(first) == sorted(second)


def test_mixtures_keep_their_shares() -> None:
    streams = (Tokens(81), Tokens(401, 1000))
    for weights, wanted in [((0.7, 0.3), 0.7), (None, 10 / 60)]:
        cursor = make_cursor(*streams, weights=weights)
        for num in range(1, 200):
            taken = Counter(int(cursor.take().tokens[0]) >= 1000 for _ in range(1))
            assert sum(taken.values()) == 1
            assert abs(cursor.state_dict()["taken"][0] - wanted * num) <= 1


def test_a_position_is_enough_to_go_on() -> None:
    straight, other = (make_cursor(Tokens(50), Tokens(70, 100)) for _ in range(2))
    for _ in range(17):
        straight.take()
    other.load_state_dict(straight.state_dict())
    for _ in range(40):
        a, b = straight.take(), other.take()
        assert a.num_terms == b.num_terms and (a.tokens == b.tokens).all()


def test_a_part_without_text_is_refused() -> None:
    with pytest.raises(InputError, match="at least two tokens"):
        make_cursor(Tokens(1))
    with pytest.raises(InputError, match=r"at least two tokens, got \[0, "):
        make_cursor(Tokens(1), Tokens(50))
