"""Numbers in text, against values written down by hand and against Python's own formatting."""

import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burnish.data.numbers import clean_text, find_numbers, read_number

F = Fraction
PLANTED = [
    ("25", [25]),
    ("-7", [-7]),
    ("\u22127", [-7]),
    ("1,234.50", [F("1234.5")]),
    ("1,2345 and 12,34", [1, 2345, 12, 34]),
    ("1,234,567", [1234567]),
    ("1{,}234", [1234]),
    ("3/4 of -3/4", [F(3, 4), F(-3, 4)]),
    ("1 1/2 cups", [F(3, 2)]),
    (r"-\frac{3}{4}", [F(-3, 4)]),
    (r"2\dfrac{1}{2}", [F(5, 2)]),
    ("1e3, 2.5e-2, 2e", [1000, F(1, 40), 2]),
    ("2024-05-01, 1/2/2024, 10:30:15, v1.2.3", []),
    ("on 2024-05-01 he had 12", [12]),
    ("$5.00 and -$5 and $-5", [5, -5, -5]),
    ("50% -3", [50, 3]),
    ("is -3", [-3]),
    ("= -3.", [-3]),
    ("(-3)", [-3]),
    ("5 -3", [5, 3]),
    ("5-3", [5, 3]),
    ("5 - 3", [5, 3]),
    ("5 - -3", [5, -3]),
    ("4 - 7\n-3", [4, 7, -3]),
    ("3, -4", [3, -4]),
    ("x-3, covid-19", [3, 19]),
    ("H2O, x_1, 5kg", [5]),
    (".5 and 0.50", [F(1, 2), F(1, 2)]),
    ("wait...5", [5]),
    ("Rs.42", [42]),
    ("3/0", [None]),
    ("9" * 5000, [None]),
    ("1e999999999", [None]),
    ("", []),
]


def check_planted(find):
    for text, values in PLANTED:
        assert [n.value for n in find(clean_text(text))] == values, text[:50]


def test_planted_numbers_are_read():
    check_planted(find_numbers)


@pytest.mark.parametrize(
    "pattern", [r"-?[0-9]+", r"-?[0-9.,]*[0-9]", r"-?[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?"]
)
def test_planted_plain_patterns(pattern):
    class Found:
        def __init__(self, text):
            self.value = F(text.replace(",", "").strip(".") or 0)

    with pytest.raises((AssertionError, ValueError)):
        check_planted(lambda text: (Found(m[0]) for m in re.finditer(pattern, text)))


@given(
    st.decimals(min_value=-(10**9), max_value=10**9, places=3),
    st.sampled_from(
        ["{:f}", "{:,f}", "$ {:f}", "is {:,f} apples.", "= **{:f}**", r"\boxed{{{:f}}}"]
    ),
)
def test_formatted_decimals_are_read_back(value, form):
    (number,) = find_numbers(clean_text(form.format(value)))
    assert number.value == F(value)


@given(st.fractions(max_denominator=10**6).filter(lambda f: f.denominator > 1))
def test_formatted_fractions_are_read_back(value):
    assert read_number(str(value)).value == value


@pytest.mark.parametrize("text", ["", "x", "4 + 3", "5 apples", "2024-05-01", "1 2", "a 5", "0x1f"])
def test_only_whole_numbers_are_read_whole(text):
    assert read_number(text) is None


@pytest.mark.parametrize("text", [" -5. ", "$5", "50%", "1,000", "3/4", r"\frac{1}{2}"])
def test_whole_numbers_may_be_dressed(text):
    assert read_number(text) is not None


@given(st.text(alphabet="0123456789.,/-:eE $%x_ \n{}\\"))
def test_any_text_has_some_numbers(text):
    cleaned = clean_text(text)
    numbers = list(find_numbers(cleaned))
    ends = [0] + [n.end for n in numbers]
    assert all(a <= n.start < n.end for a, n in zip(ends, numbers, strict=False))
