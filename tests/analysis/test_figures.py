"""The figures of MPLSandbox's supplement, recomputed."""

import pytest

from burnish.analysis.basic import basic_information
from burnish.analysis.tracing import trace

FIGURE_1 = """\
def calculation():
    n = int(input())
    if n <= 100:
        result = [i * (i + 1) // 2 for i in range(1, n + 1)]
    elif n <= 200:
        result = [i ** 2 for i in range(n)]
        if n % 3 == 0:
            result.append(n ** 3)
    elif n < 300:
        result = []
        if n % 2 == 0:
            for i in range(n):
                if i % 2 == 0:
                    result.append(i * 2)
                else:
                    result.append(i ** 3)
        else:
            for j in range(2, 10):
                for i in range(n):
                    if i % j == 0:
                        result.append(i * j)
    if n % 2 == 0:
        result = [i + 1 for i in result]
    return result
calculation()
"""
FIGURE_4 = {
    "h1": 8, "h2": 17, "N1": 23, "N2": 46, "vocabulary": 25, "length": 69,
    "calculated_length": 93.49, "volume": 320.43, "difficulty": 10.82, "effort": 3468.14,
    "time_s": 192.67, "bugs": 0.11,
}  # fmt: skip


def check_figure_4(code):
    halstead = basic_information(code, "python").halstead
    assert {k: round(getattr(halstead, k), 2) for k in FIGURE_4} == FIGURE_4


def test_halstead_values_of_figure_4():
    check_figure_4(FIGURE_1)


def test_planted_program_with_one_operator_more():
    with pytest.raises(AssertionError):
        check_figure_4(FIGURE_1.replace("result = []", "result = [] + []"))


def test_cyclomatic_complexity_of_figure_4():
    """12 as the paper says is McCabe's number of the statements; radon adds comprehensions."""
    (function,) = [f for f in basic_information(FIGURE_1, "python").functions if f.name]
    assert (function.complexity, function.extended) == (12, 15)


def test_coverage_of_figure_5(sandbox_cache):
    coverage = trace(FIGURE_1, "python", ["51\n", "120\n", "211\n"])
    assert len(coverage.executable) == 23
    assert [len(test.executed) for test in coverage.tests] == [7, 11, 14]
    shares = [round(coverage.frac(test.executed), 2) for test in coverage.tests]
    assert shares == [0.30, 0.48, 0.61]
    assert round(coverage.to_dict()["mean_coverage_frac"], 2) == 0.46


def test_hits_of_figure_6(sandbox_cache):
    """The paper: lines 3 and 5 once for 120; its loops of 211 lie in the `else` branch."""
    coverage = trace(FIGURE_1, "python", ["211\n"])
    hits = {cost.line: cost.hits for cost in coverage.tests[0].lines}
    assert (hits[18], hits[19], hits[20]) == (9, 8 * 212, 8 * 211)
