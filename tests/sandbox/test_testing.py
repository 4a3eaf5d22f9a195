"""Single tests of programs: verdicts that are known, by kind, and which way asserts took."""

import pytest
from fixtures.verdicts import KINDS

from burnish.base.errors import InputError
from burnish.sandbox.guard import Way
from burnish.sandbox.judging import judge
from burnish.sandbox.languages import find_language
from burnish.sandbox.languages.language import MissingToolChain
from burnish.sandbox.problem import read_problem
from burnish.sandbox.program import find_chain
from burnish.sandbox.verdict import Status

SLOW = {"java", "typescript", "csharp", "rust", "go", "r", "cpp"}
TOGETHER = {"v12", "v13", "v14", "v15", "v16", "v21", "v25", "v28", "v30"}
ROWS = [
    pytest.param(row, id=row[0], marks=[pytest.mark.scheduled] * (row[2]["language"] in SLOW))
    for rows in KINDS.values()
    for row in rows
]


@pytest.fixture(autouse=True)
def _needs_namespaces(namespaces):
    pass


def found(row):
    problem = row[2]
    if isinstance(chain := find_chain(find_language(problem["language"])), MissingToolChain):
        pytest.skip(chain.reason)
    if "numpy" in problem["code"] and not has_numpy():
        pytest.skip("numpy is not installed for the interpreter that judges")
    return judge(read_problem(problem))


def has_numpy():
    given = {"code": "import numpy", "language": "python", "tests": [{"stdout": ""}]}
    return judge(read_problem(given)).verdict == "accepted"


@pytest.mark.parametrize("row", ROWS)
def test_known_verdicts(row):
    name, verdict, _ = row
    result = found(row)
    assert result.verdict.value in verdict.split("|"), (result.reason, result.tests[0].stderr)
    if name in TOGETHER:
        assert result.tests[0].way == Way.TOGETHER


def test_each_kind_has_five_rows():
    few = {kind: len(rows) for kind, rows in KINDS.items() if len(rows) < 5}
    assert few == {
        "dialects of C": 2,
        "newer C++": 2,
        "programs that are none": 4,
    }  # a C and a C++ compiler have no more of it


def test_planted_border_alone_punishes_right_code(monkeypatch):
    monkeypatch.setattr("burnish.sandbox.testing.ITS_OWN", frozenset(Status))
    for row in KINDS["values at the border"]:
        if row[0] in ("v12", "v14", "v16"):
            assert judge(read_problem(row[2])).verdict is not Status.ACCEPTED


def test_the_result_says_which_way_was_taken():
    code, asserts = "def f(x): return x", "assert f(1) == 1"
    given = {"code": code, "language": "python", "asserts": asserts}
    (result,) = judge(read_problem(given)).to_dict()["tests"]
    assert result["way"] == "border"
    (result,) = judge(read_problem({**given, "asserts": "assert f(f) is f"})).to_dict()["tests"]
    assert result["way"] in ("border", "together") and result["status"] == "accepted"
    bash = {"code": "f() { echo 1; }", "language": "bash", "asserts": '[ "$(f)" = 1 ] || exit 1'}
    assert judge(read_problem(bash)).tests[0].way == "behind"
    stdio = {"code": "print(1)", "language": "python", "tests": [{"stdout": "1"}]}
    assert judge(read_problem(stdio)).tests[0].way == ""


@pytest.mark.parametrize(
    "asserts",
    [
        "", "# nothing\n", "\n\n", "import unittest\n", "def test_f():\n    assert f(1) == 2\n",
        "import unittest\nclass T(unittest.TestCase):\n    def test(self):\n"
        "        self.assertEqual(f(1), 2)\n",
        "def check(candidate):\n    assert candidate(1) == 2\n", "x = 1\n",
        "def check(f):\n    assert f(1) == 2\nif __name__ == '__main__':\n    pass\n",
    ],
)  # fmt: skip
def test_tests_that_check_nothing_are_an_error_of_the_input(asserts):
    with pytest.raises(InputError):
        read_problem({"code": "def f(x): return x", "language": "python", "asserts": asserts})


def test_tests_that_never_touch_the_code_give_no_reward():
    asserts = "def check():\n    assert f(1) == 1\nfor name in []:\n    check()\n"
    given = {"code": "def f(x): return 1", "language": "python", "asserts": asserts}
    assert judge(read_problem(given)).reward is None
