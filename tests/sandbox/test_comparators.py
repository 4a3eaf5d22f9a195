"""Comparators against planted truth."""

import pytest

from burnish.base.errors import SettingError
from burnish.sandbox.comparators import comparators, parse_comparator
from burnish.sandbox.comparators.comparator import Match
from burnish.sandbox.verdict import Status

AC, PE, WA = Status.ACCEPTED, Status.PRESENTATION_ERROR, Status.WRONG_ANSWER
ROWS = [
    ("exact", "3\n", "3", AC),
    ("exact", "3 \r\n\n", "3\n", AC),
    ("exact", "1 2", "12", WA),  # the official code deletes all white space
    ("exact", "1\n11", "11\n1", WA),
    ("exact", "1  2", "1 2", PE),
    ("exact", "1\n2", "1 2", PE),
    ("exact", "", "", AC),
    ("exact", "", "1", WA),
    ("exact", "1\n2\n3", "1\n2", WA),
    ("exact", " 1", "1", PE),
    ("exact:strict=true", "3\n", "3", PE),
    ("exact:strict=true", "3\n", "3\n", AC),
    ("token", "1\n2", "1 2", AC),
    ("token", "12", "1 2", WA),
    ("token", "Yes", "yes", WA),
    ("token:ignore_case=true", "Yes", "yes", AC),
    ("float", "0.33333333", "0.333333333333", AC),
    ("float", "0.3333", "0.333333333333", WA),
    ("float", "1e9", "1000000000", AC),
    ("float", "nan", "nan", AC),
    ("float", "nan", "1", WA),
    ("float", "1", "nan", WA),
    ("float", "inf", "inf", AC),
    ("float", "-inf", "inf", WA),
    ("float", "inf", "1e308", WA),
    ("float", "a 1.0", "a 1", AC),
    ("float", "b 1.0", "a 1", WA),
    ("float", "1 1", "1", WA),
    ("float", "1_0", "10", WA),
    ("float:absolute=0.1,relative=0", "1.09", "1", AC),
    ("float:absolute=0.1,relative=0", "1.11", "1", WA),
    ("unordered", "b\na\n", "a\nb", AC),
    ("unordered", "a\na\nb", "a\nb\nb", WA),  # multisets, not sets
    ("unordered", "2 1", "1 2", WA),
    ("unordered:words=true", "2 1", "1 2", AC),
    ("unordered", "a", "a\nb", WA),
    ("unordered", "a\nb", "a", WA),
]
CHECKER = """
import sys
given, output, answer = (open(p).read() for p in sys.argv[1:])
n = int(given)
factors = [int(x) for x in output.split()]
product = 1
for f in factors:
    product *= f
if not factors:
    print("nothing"); sys.exit(2)
sys.exit(0 if product == n and len(factors) == int(answer) else 1)
"""


def check_planted_truth(compare):
    for spec, output, expected, status in ROWS:
        assert compare(spec, output, expected).status is status, (spec, output, expected)


def test_planted_truth():
    check_planted_truth(lambda spec, *texts: parse_comparator(spec).compare(*texts, ""))


def test_planted_comparison_without_white_space():
    def official(spec, output, expected):
        same = "".join(output.split()) == "".join(expected.split())
        return Match(status=AC if same else WA)

    with pytest.raises(AssertionError):
        check_planted_truth(official)


def test_reasons_name_the_place():
    match = parse_comparator("exact").compare("1\n5\n", "1\n2\n", "")
    assert match.reason == "line 2 is '5', not '2'"


@pytest.mark.parametrize("spec", ["float:absolute=-1", "checker", "checker:code=a,file=b"])
def test_wrong_settings_are_refused(spec):
    with pytest.raises(SettingError):
        parse_comparator(spec)


def test_a_checker_program_decides(namespaces):
    checker = comparators.build("checker", code=CHECKER)
    assert checker.compare("2 5", "2", "10").status is AC
    assert checker.compare("5 2", "2", "10").status is AC
    assert checker.compare("10", "2", "10").status is WA
    assert checker.compare("", "2", "10").status is PE
    failed = checker.compare("x", "2", "10")  # the checker raises: not the program's fault
    assert failed.status is Status.INFRASTRUCTURE_ERROR
    assert "the checker failed" in failed.reason


@pytest.mark.parametrize(
    ("output", "expected", "verdict"),
    [
        ("1000000.1", "1000000.5", "accepted"), ("1000001", "1000000", "wrong_answer"),
        ("1000001.5", "1000003.9", "wrong_answer"), ("1e400", "2e400", "wrong_answer"),
        ("1e400", "1.0000000001e400", "accepted"), ("1e400", "inf", "wrong_answer"),
        ("1" + "0" * 400, "1" + "0" * 399 + "1", "wrong_answer"), ("1e-400", "0", "accepted"),
        ("007", "7", "accepted"), ("1_0", "10", "wrong_answer"), ("-nan", "0.0", "wrong_answer"),
        ("1e" + "9" * 30, "1.0e" + "9" * 30, "wrong_answer"),
    ],
)  # fmt: skip
def test_numbers_of_any_size(output, expected, verdict):
    assert parse_comparator("float").compare(output, expected, "").status == verdict
