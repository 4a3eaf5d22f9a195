"""Sizes, Halstead's counts and maintainability against radon, and by hand."""

import fractions
import inspect
import textwrap

import pytest

from burnish.analysis.basic import basic_information
from burnish.analysis.halstead import halstead_of, maintainability_index
from burnish.analysis.python_halstead import count_operations


def check_halstead(count):
    radon = pytest.importorskip("radon.metrics")
    for module in (fractions, textwrap, inspect):
        code = inspect.getsource(module)
        theirs = radon.h_visit(code).total
        assert count(code)[2:] == (theirs.N1, theirs.N2)
        assert count(code)[:1] == (theirs.h1,)
        assert count(code)[1] == pytest.approx(theirs.h2, rel=0.02)


def test_halstead_counts_are_radons():
    check_halstead(count_operations)


def test_planted_count_of_one_sum_too_many():
    with pytest.raises(AssertionError):
        check_halstead(lambda code: count_operations(code + "\n1 + 1\n"))


def test_maintainability_is_radons():
    radon = pytest.importorskip("radon.metrics")
    for volume, complexity, lines, comments in [(320.43, 15, 28, 10.0), (9000, 40, 700, 0.0)]:
        theirs = radon.mi_compute(volume, complexity, lines, comments)
        ours = maintainability_index(volume, complexity, lines, comments / 100)
        assert ours == pytest.approx(theirs, rel=1e-9)


def test_halstead_of_nothing_is_nothing():
    assert halstead_of((0, 0, 0, 0)).effort == 0
    assert maintainability_index(0, 1, 0, 0) == 100


def test_lines_are_counted_by_hand():
    code = "# one\n\nint f(void) { // not alone\n  /* two\n     three */\n  return 1;\n}\n"
    basic = basic_information(code.replace("# one", "// one"), "c")
    assert (basic.num_lines, basic.num_code_lines) == (7, 3)
    assert (basic.num_comment_lines, basic.num_blank_lines) == (3, 1)


@pytest.mark.parametrize("language", ["c", "java", "javascript", "go", "rust", "lua", "bash"])
def test_halstead_grows_with_the_program(language):
    from fixtures.programs import random_tree, write

    small = basic_information(write([1], language).code, language).halstead
    large = basic_information(write(random_tree(1), language).code, language).halstead
    assert large.length > small.length > 0
    assert large.volume > small.volume


def test_syntax_errors_are_said():
    assert basic_information("def f(:\n", "python").has_syntax_errors
    assert not basic_information("def f():\n    pass\n", "python").has_syntax_errors
