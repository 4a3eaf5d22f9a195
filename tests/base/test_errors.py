"""Every error is one short line, whatever it was given."""

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burnish.base import errors
from burnish.base.errors import MAX_CHARS, BurnishError, InputError, shortened

TEXTS = st.one_of(st.text(), st.text().map(lambda text: text * 300), st.just("a b\n" * 500))
VALUES = st.one_of(TEXTS, st.binary(), st.integers(), st.lists(TEXTS), st.just("x" * 10**6))


def check_line(name: str, value: Any, rule: str, remedy: str) -> None:
    line = str(InputError(name, value, rule, remedy=remedy))
    assert len(line) <= MAX_CHARS and len(line.splitlines()) <= 1
    assert line.endswith((".", "?")) and ", got " in line


@given(name=TEXTS, value=VALUES, rule=TEXTS, remedy=TEXTS)
def test_every_message_is_one_short_line(name: str, value: Any, rule: str, remedy: str) -> None:
    check_line(name, value, rule, remedy)


def test_short_messages_are_whole_and_long_ones_keep_their_ends() -> None:
    short = InputError("a", "b", "must c", remedy="Do d.")
    assert str(short) == "a must c, got 'b'. Do d."
    asked = InputError("a", "b", "must c", remedy="Did you mean 'd'?")
    assert str(asked) == "a must c, got 'b'. Did you mean 'd'?"
    long = str(InputError("begin", "x" * 900 + "END", "must c", remedy="Do d"))
    assert long.startswith("begin must c, got 'xxx") and long.endswith("END'. Do d.")
    assert len(long) == MAX_CHARS
    long = str(InputError("n" * 900, "x" * 900, "must c", remedy="Do d"))
    assert "must c" in long and "Do d" in long and len(long) <= MAX_CHARS


def test_a_shortened_text_loses_its_middle() -> None:
    assert shortened("abcdefghijklmnop", 12) == "abcd ... nop"
    assert shortened("abcdefghijkl", 12) == "abcdefghijkl"


def test_the_value_stays_whole_across_processes() -> None:
    error = InputError("a", "x" * 900, "must c", remedy="Do d")
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, BurnishError)
    assert (again.value, str(again)) == (error.value, str(error))


def test_planted_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "MAX_CHARS", 10**9)
    with pytest.raises(AssertionError):
        check_line("a", "x" * 900, "must c", "Do d")


@pytest.mark.parametrize(
    ("kind", "standard", "status"),
    [
        (errors.InputError, ValueError, 2),
        (errors.SettingError, ValueError, 2),
        (errors.IncompleteError, RuntimeError, 1),
        (errors.DoesNotFitError, MemoryError, 3),
    ],
)
def test_each_error_is_a_standard_one_and_has_its_exit_status(
    kind: type[BurnishError], standard: type[Exception], status: int
) -> None:
    assert kind.exit_code == status and issubclass(kind, standard)
