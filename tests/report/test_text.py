"""The terminal's page: aligned, complete, harmless."""

from dataclasses import replace

import pytest

from burnish.report import text as text_module
from burnish.report.text import page_as_text, table_as_text


def check_aligned(fn=table_as_text):
    """Every column starts (texts) or ends (numbers) at one place, wide characters included."""
    rows = [["a", 1.5, "x"], ["bbbb", 240.0, "y"], ["你好", 3.0, "z"]]
    lines = fn(["name", "value", "note"], rows).splitlines()
    assert lines == [
        "name  value  note",
        "────  ─────  ────",
        "a       1.5  x",
        "bbbb  240.0  y",
        "你好    3.0  z",
    ]


def test_columns_are_aligned():
    check_aligned()


def test_planted_width_that_counts_letters(monkeypatch):
    monkeypatch.setattr(text_module, "_width", len)
    with pytest.raises(AssertionError):
        check_aligned()


def test_a_table_without_rows_or_names():
    assert table_as_text(["a", "b"], []) == "a  b\n─  ─\n"
    assert table_as_text(["", ""], [["x", "y"]]) == "x  y\n"
    assert table_as_text(["a"], [["two\nlines"]]).splitlines()[2] == "two lines"


def test_the_verdict_is_first_and_all_is_there(page):
    shown = page_as_text(page)
    assert shown.startswith(page.verdict)
    wanted = ["✓ pass", "✗ fail", "? undetermined", "Accuracy by group", "0.72", "118034"]
    for part in [*wanted, "126 points", "newly wrong   3", page.command]:
        assert part in shown, part


def check_harmless(page, fn=page_as_text):
    """No control character but the newline reaches the terminal."""
    assert not [c for c in fn(page) if (ord(c) < 32 and c != "\n") or 127 <= ord(c) < 160]


HOSTILE = "\x1b]0;owned\x07\x9b2J"


def test_no_text_moves_the_cursor(page):
    table = replace(page.blocks[3], title=HOSTILE, columns=[HOSTILE] * 7)
    check_harmless(replace(page, verdict=HOSTILE, command=HOSTILE, blocks=[table, *page.blocks]))


def test_planted_terminal_page_that_prints_raw(page, monkeypatch):
    monkeypatch.setattr(text_module, "visible", lambda text: text)
    with pytest.raises(AssertionError):
        check_harmless(replace(page, verdict=HOSTILE))
