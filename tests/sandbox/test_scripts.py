"""Scripts of asserts: which can check something, and which cannot."""

import pytest

from burnish.sandbox.scripts import EMPTY, UNCALLED, fault_of

CHECKING = [
    "assert f(1) == 2",
    "f(object())",
    "if f(1) != 2:\n    raise ValueError",
    "def test():\n    assert f(1)\nif __name__ == '__main__':\n    test()",
    "def check(c):\n    assert c(1)\ncheck(f)",
    "def inner():\n    assert f(1)\ndef outer():\n    inner()\nouter()",
    "class T:\n    def go(self):\n        assert f(1)\nT().go()",
    "import unittest as u\nclass T(u.TestCase):\n    def test(self):\n        pass\n"
    "import unittest\nunittest.main()",
    "def test_a():\n    assert f(1)\nfor n, g in list(globals().items()):\n"
    "    if n.startswith('test'):\n        g()",
    "tests = []\ndef a():\n    assert f(1)\ntests.append(a)\nfor t in tests:\n    t()",
    "with open('x') as g:\n    pass",
    "import numpy as np\nnp.testing.assert_allclose(f(1), 2)",
    "async def t():\n    assert await f(1)\nimport asyncio\nasyncio.run(t())",
]
NOTHING = {
    "": EMPTY,
    " \n# a remark\n": EMPTY,
    "import os": EMPTY,
    "x = 3": EMPTY,
    "def test_f():\n    assert f(1) == 2": UNCALLED,
    "async def test_f():\n    assert await f(1) == 2": UNCALLED,
    "def check(candidate):\n    assert candidate(1) == 2\n": UNCALLED,
    "METADATA = dict(a=1)\ndef check(c):\n    assert c(1)": UNCALLED,
    "class TestF:\n    def test(self):\n        assert f(1)": UNCALLED,
    "def a():\n    b()\ndef b():\n    assert f(1)": UNCALLED,
    "def test_f():\n    f(1)": UNCALLED,
}


def check_scripts(fault_of):
    assert [s for s in CHECKING if fault_of(s, "python")] == []
    assert {s: fault_of(s, "python") for s in NOTHING} == NOTHING


def test_scripts_that_check_nothing():
    check_scripts(fault_of)


def test_planted_look_at_words_alone():
    def naive(script, language):
        return "" if "assert" in script else EMPTY

    with pytest.raises(AssertionError):
        check_scripts(naive)


@pytest.mark.parametrize(
    ("language", "script"),
    [("javascript", "// none\n"), ("lua", "-- none\n"), ("php", "<?php /* none */ ?>"),
     ("bash", "# none"), ("go", "/* a\n b */")],
)  # fmt: skip
def test_remarks_are_no_tests_in_any_language(language, script):
    assert fault_of(script, language) == EMPTY
    assert fault_of(script + "\nf(1)", language) == ""


def test_what_is_no_python_is_said():
    assert "is no Python" in fault_of("assert f(1) ==", "python")
    assert fault_of("\ufeffassert f(1)", "python") == ""
