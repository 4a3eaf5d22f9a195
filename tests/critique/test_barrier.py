"""The barrier against short cuts, on planted ones."""

import pytest

from burnish.critique import barrier
from burnish.critique.barrier import copies, is_shortcut

WORKED = "1+2=3\n3+4=7\n7+5=12\n#### 12"
PLANTED = [
    ("#### 12", True),
    ("The answer is 12.", True),
    (WORKED, False),
    ("1+2=3\n3+4=7\n7+5=12", False),
]


def check_planted(is_shortcut):
    for text, short in PLANTED:
        assert is_shortcut(text, WORKED, WORKED) == short, text


def test_planted_short_cuts():
    check_planted(is_shortcut)


def test_planted_count_of_digits(monkeypatch):
    monkeypatch.setattr(barrier, "num_numbers", len)
    with pytest.raises(AssertionError):
        check_planted(is_shortcut)


def test_the_smaller_count_decides():
    assert not is_shortcut("12", WORKED, "1 12") and copies("a  b", "a b") and not copies("a", "b")
