"""Final answers of planted texts."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burnish.data.answers import final_number, stated_answer
from burnish.data.numbers import clean_text, find_numbers

PLANTED = [
    ("4 + 3 = 7", "7"),
    ("4 - 1 = 3", "3"),
    ("5 - 9 = -4", "-4"),
    ("So 12 - 15 = -3.", "-3"),
    ("#### 42", "42"),
    ("3 x 4 = 12\n#### 1,080", "1080"),
    ("#### -7 in 3 boxes", "-7"),
    ("#### 4 + 3 = 7", "7"),
    ("#### **42**", "42"),
    ("#### Step 1\nadd\n#### 2. Then\nit is 9", "9"),
    ("#### 5\n#### 6", "6"),
    (r"so \boxed{25} is it, not 5", "25"),
    (r"\boxed{\frac{3}{4}} of 100", "3/4"),
    (r"\boxed{x = 5} or 6", "5"),
    (r"\boxed{5 \text{ m}^2}", "5"),
    (r"cut off: 9 \boxed{5", "5"),
    ("<answer>12 apples</answer> of 30", "12"),
    ("The answer is 42, because 6 * 8 = 48 is too much", "42"),
    ("The answer is 4 + 3 = 7.", "7"),
    ("The answer is 7 because 4 + 2 = 6 is too few", "7"),
    ("First answer is 5. The final answer is: $1,234.50 for 3 people", "1234.50"),
    ("**Answer:** -3 (of 5)", "-3"),
    ("Answer:\n42\nThat took 3 steps.", "42"),
    ("Answer:\nFirst 4 + 3 = 7.\nThen 7 + 1 = 8", "8"),
    ("Answer: none\n12", "12"),
    ("It is 5 or 6 or 7", "7"),
    ("On 2024-05-01 he had 12", "12"),
    ("no number", None),
    ("  \n ", None),
]


def check_final(final):
    for text, expected in PLANTED:
        number = final(text)
        assert (number and number.text) == expected, text


def test_final_numbers_of_planted_texts():
    check_final(final_number)


def test_planted_last_number_only():
    def last(text):
        return (list(find_numbers(clean_text(text))) or [None])[-1]

    with pytest.raises(AssertionError):
        check_final(last)


def test_planted_first_mark_wins():
    with pytest.raises(AssertionError):
        check_final(lambda text: final_number(text.partition("\n")[0]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" Paris ", "Paris"),
        ("I think. Answer: Paris", "Paris"),
        ("**Final answer:** Paris\n", "Paris"),
        ("**Answer: Paris**", "Paris"),
        ("Answer: Rome\nNo. Answer: Paris", "Paris"),
        ("<think>x</think>\n<answer>\nParis </answer> done", "Paris"),
        ("<answer>Rome</answer><answer>Paris</answer>", "Paris"),
        ("Answer:", ""),
        ("</answer> x <answer>", "</answer> x <answer>"),
    ],
)
def test_stated_answers_of_planted_texts(text, expected):
    assert stated_answer(text) == expected


@given(st.lists(st.sampled_from(["####", "\\boxed{", "}", "answer", " is ", ":", "<answer>",
       "</answer>", "\n", "=", "-", "5", "1,234", "/", "**", ".", "x"])).map("".join))  # fmt: skip
def test_any_mixture_of_marks_is_read(text):
    number = final_number(text)
    assert (number is None) == (not any(True for _ in find_numbers(clean_text(text))))
    assert isinstance(stated_answer(text), str)


@pytest.mark.parametrize(
    "piece",
    ["#### ", "\\boxed{", "answer: ", "<answer>", "9", "9,", "1-", "1/", " ", "-", "= ", "(5"],
)
def test_long_texts_are_read_in_linear_time(piece):
    text = piece * 20_000  # quadratic work would take minutes
    final_number(text)
    stated_answer(text)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"\boxed{\frac34}", "3/4"),
        (r"-\tfrac{1}2", "-1/2"),
        ("The answer is 3 apples + 4 apples = 7 apples.", "7"),
        ("The answer is 5 * 2 apples = 10 apples.", "10"),
        ("The answer is 20% of 50 = 10", "10"),
        ("The answer is 60 minutes = 1 hour", "60"),  # no sum: which one is meant is open
        ("1 000 people", "1000"),
        ("12\u202f345\u00a0678 people", "12345678"),
        ("She has 3 100-gram bars", "100"),
        (r"The answer is 12 \times 3 = 36", "36"),
        ("#### 1,50,000", "150000"),
        ("27 m^3", "27"),
        ("27 m^{3}", "27"),
        (r"$2.5 \times 10^{-3}$", "1/400"),
        ("1\u00bd cups", "3/2"),
    ],
)
def test_final_numbers_as_people_write_them(text, answer):
    found = final_number(text)
    assert found is not None and found.value == Fraction(answer)


def test_sums_are_found_in_time_linear_in_the_text():
    final_number("The answer is " + "3 x " * 20_000)
    final_number("The answer is " + "3 apples + " * 20_000)
