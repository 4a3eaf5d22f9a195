"""Cells: numbers keep four significant digits, and nothing invisible survives."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burnish.report import cells
from burnish.report.cells import cell_text, column_texts, interval_text, number_text, visible

ACTING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI", "B"}


def check_visible(text, fn=visible):
    """No control, surrogate or reordering character is left (Unicode's own tables decide)."""
    shown = fn(text)
    shown.encode()
    for char in set(shown) - {"\n", "\t"}:
        assert unicodedata.category(char) not in {"Cc", "Cs", "Zl", "Zp"}, ascii(char)
        assert unicodedata.bidirectional(char) not in ACTING, ascii(char)


ANY_TEXT = st.text(st.characters(exclude_categories=()))
HOSTILE = "\x1b[2J\x00\x7f\x9b\r\u202e\u2066\u2028\ud800\ufeff"


@given(ANY_TEXT)
def test_visible_leaves_nothing_that_acts(text):
    check_visible(text)


def test_planted_visible_that_forgets_c1_controls(monkeypatch):
    monkeypatch.setattr(cells, "_INVISIBLE", cells.re.compile("[\x00-\x08\x0b-\x1f]"))
    with pytest.raises(AssertionError):
        check_visible("\x9b31m")


def test_visible_keeps_what_is_harmless():
    text = "你好 שלום 🙂 👩\u200d👧\tx\n</b>"
    assert visible(text) == text
    assert visible("a\r\nb") == "a\nb"
    assert visible(HOSTILE).startswith("\\x1b[2J\\x00\\x7f\\x9b\\x0d\\u202e")


def check_number(value, fn=number_text):
    """Read back, the text is the number to four significant digits."""
    read = float(fn(value).replace("\N{MINUS SIGN}", "-"))
    assert abs(read - value) <= 5.001e-4 * abs(value)


@given(st.floats(-1e300, 1e300))
def test_number_reads_back(value):
    check_number(value)


def test_planted_number_with_three_digits():
    with pytest.raises(AssertionError):
        check_number(1.2344, fn=lambda v: f"{v:.2f}")


@given(st.lists(st.floats(-1e6, 1e6) | st.integers() | st.none(), min_size=1))
def test_columns_read_back(values):
    for value, text in zip(values, column_texts(values), strict=True):
        if value is not None:
            check_number(value, fn=lambda _, text=text: text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (240, "240"),
        (20261122, "20261122"),
        (0.5, "0.5"),
        (9.99996, "10"),
        (-0.25, "\N{MINUS SIGN}0.25"),
        (2e-6, "2.000e\N{MINUS SIGN}06"),
        (float("nan"), "not a number"),
        (float("-inf"), "\N{MINUS SIGN}∞"),
        (None, "\N{EN DASH}"),
        (True, "yes"),
        ({"a": [1]}, '{"a": [1]}'),
        ("\x1b[0m", "\\x1b[0m"),
    ],
)
def test_cell_text(value, text):
    assert cell_text(value) == text


def test_decimals_are_shared_in_columns_and_intervals():
    assert column_texts([61.3, 241.83, None]) == ["61.3", "241.8", "\N{EN DASH}"]
    assert column_texts([1.0, 0.25]) == ["1.00", "0.25"]
    assert column_texts([1.0, 2e-5]) == ["1", "0.00002"]
    assert interval_text(8.1, 5.5, 10.75) == "8.10 [5.50, 10.75]"
