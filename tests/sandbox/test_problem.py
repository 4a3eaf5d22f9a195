"""Problems from JSON: what is understood, and what is refused by name."""

import pytest

from burnish.base.errors import BurnishError
from burnish.sandbox.job import Job, Limits
from burnish.sandbox.problem import AssertTest, CallTest, StdioTest, read_problem

CODE = {"code": "print(1)", "language": "python"}


def test_three_kinds_of_tests():
    rows = [
        {"stdin": "a", "stdout": "b"},
        {"stdout": "c"},
        {"function": "f", "args": [1], "expected": 2},
        {"asserts": "assert 1"},
    ]
    problem = read_problem({**CODE, "tests": rows, "asserts": "assert 2", "limits": {"cpu_s": 3}})
    assert problem.tests == (
        StdioTest(stdin="a", stdout="b"),
        StdioTest(stdin="", stdout="c"),
        CallTest(function="f", args=(1,), expected=2),
        AssertTest(asserts="assert 1"),
        AssertTest(asserts="assert 2"),
    )
    assert problem.limits == Limits(cpu_s=3)


def test_a_checker_is_a_comparator():
    given = {**CODE, "tests": [{"stdout": ""}], "checker": {"code": "print(1)"}}
    assert read_problem(given).comparator.startswith("checker:code=")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ([], "problem"),
        ({"language": "python"}, "problem.code"),
        ({**CODE}, "problem.tests"),
        ({**CODE, "tests": {}}, "problem.tests"),
        ({**CODE, "tests": [3]}, "problem.tests[0]"),
        ({**CODE, "tests": [{"stdin": "1"}]}, "problem.tests[0]"),
        ({**CODE, "tests": [{"stdin": 1, "stdout": "1"}]}, "problem.tests[0]"),
        ({**CODE, "tests": [{"stdin": "1", "stdout": "1", "stdot": 1}]}, "stdot"),
        ({**CODE, "tests": [{"function": "f", "args": 1, "expected": 1}]}, "problem.tests[0]"),
        ({**CODE, "test": []}, "test"),
        ({**CODE, "asserts": "assert 1", "limits": {"cpu": 1}}, "cpu"),
        ({**CODE, "asserts": "assert 1", "limits": {"cpu_s": -1}}, "cpu_s"),
        ({**CODE, "asserts": "assert 1", "limits": {"cpu_s": "soon"}}, "cpu_s"),
        ({**CODE, "asserts": "assert 1", "limits": 3}, "problem.limits"),
        ({**CODE, "asserts": "assert 1", "comparator": 3}, "problem.comparator"),
        ({**CODE, "asserts": "assert 1", "checker": 3}, "problem.checker"),
    ],
)
def test_mistakes_are_named(given, named):
    with pytest.raises(BurnishError, match=r"got .*\.") as caught:
        read_problem(given)
    assert named in str(caught.value)


@pytest.mark.parametrize("name", ["/etc/passwd", "../a", "a/../b", "", "a\0b", "./a"])
def test_files_stay_in_the_work_folder(name):
    with pytest.raises(BurnishError):
        Job(argv=("/usr/bin/true",), files={name: b""})
