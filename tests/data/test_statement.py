"""Where texts state their answers, against texts written by hand."""

import pytest

from burnish.data.math import statement
from burnish.data.math.statement import find_answer
from burnish.data.math.tokens import Unreadable

PLANTED = [
    ("2 + 2 = 5. #### 4", "hashes", "4"),
    ("First \\boxed{5}. Then \\boxed{7}.", "box", "7"),
    ("\\boxed{x = \\boxed{12}}", "box", "12"),
    ("\\boxed{2}, \\boxed{3}", "box", "2, 3"),
    ("<answer>42</answer> since 6*7", "tag", "42"),
    ("The answer is 9 eggs. After both the answer is 18.", "mark", "18"),
    ("The answer is 12. I can check it in 2 ways.", "mark", "12"),
    ("The correct option is B, because A is small.", "mark", "B"),
    ("the answer is:\n\n**42**", "mark", "42"),
    ("We have $x = 42$ cats in a room of 9 by 9.", "formula", "x = 42"),
    ("The total is 72 stamps, as required.", "last number", "72 stamps"),
    ("odd", "whole", "odd"),
]


def check_planted(find):
    for text, rule, span in PLANTED:
        found = find(text)
        assert (found.rule, found.answer.text) == (rule, span), text


def test_planted_statements():
    check_planted(find_answer)


def test_planted_first_mark(monkeypatch):
    real = statement._MARK

    class First:
        def finditer(self, text):
            return list(real.finditer(text))[:1]

    monkeypatch.setattr(statement, "_MARK", First())
    with pytest.raises(AssertionError):
        check_planted(find_answer)


@pytest.mark.parametrize(
    "text", ["", " \n", "\\boxed{}", "\\boxed{1} \\boxed{2}", "\\boxed{\\frac{3}{"]
)
def test_unreadable(text):
    with pytest.raises(Unreadable):
        find_answer(text)


def test_an_operand_is_no_answer():
    text = "__import__('os').getpid()*0+42"
    assert find_answer(text).answer.kind == "text"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("The answer is he has 5 km left.", "quantity"),
        ("#### he has 5 km left", "quantity"),
        ("#### none here", "text"),
        ("\\boxed{about 5 kg of flour}", "text"),
        ("<answer>he has 5 km left</answer>", "text"),
    ],
)
def test_a_number_is_picked_out_of_prose_only(text, kind):
    assert find_answer(text).answer.kind == kind
