"""Tests out of texts, and the states of rows."""

from fixtures.curating import PUZZLE, row
from fixtures.executing import Here

from burnish.contracts.executor import RunState, TrialResult
from burnish.curate import quality
from burnish.curate.quality import measure_quality, row_tests
from burnish.curate.samples import read_sample

TESTED = """def double(x):
    \"\"\"Twice x.
    >>> double(2)
    4
    >>> double([1])
    [1, 1]
    \"\"\"
    return 2 * x
"""


def of(question, answer):
    return read_sample(row(1, question, answer), 1)


def test_tests_are_read_from_texts():
    found = row_tests(
        of("Double it, so double(3) -> 6 and\ndouble(4) -> 8.\n`double(5) == 10`", TESTED)
    )
    assert found == [
        "assert double(2) == 4", "assert double([1]) == [1, 1]",
        "assert double(3) == 6", "assert double(4) == 8", "assert double(5) == 10",
    ]  # fmt: skip
    found = row_tests(of("assert f(1) == 2\nassert x", "f(3) # Output: 'a'\nprint(f(2))"))
    assert found == ["assert f(1) == 2", "assert f(3) == 'a'"]
    assert row_tests(of("f(x) returns the sum", "a == b")) == []
    assert len(row_tests(of("\n".join(f"f({i}) == {i}" for i in range(30)), ""), 5)) == 5


def test_states_of_rows():
    broken = TESTED.replace("2 * x", "3 * x")
    samples = [
        of("Double it.", TESTED), of("Double it.", broken), of("A puzzle", PUZZLE),
        of("In C", "int f() { return 1; }"),
    ]  # fmt: skip
    found = measure_quality(samples, Here())
    assert [(q.state, q.passed, q.total) for q in found] == [
        ("executable", 2, 2), ("executable", 0, 2), ("no_tests", 0, 0), ("not_executable", 0, 0)
    ]  # fmt: skip
    assert found[0].value > 0.8 and found[1].value < 0.1
    assert found[2].value is None and found[3].value is None


def test_a_failing_machine_gives_no_value():
    class Broken:
        def run(self, trials):
            return [TrialResult(state=RunState.UNSCORED) for _ in trials]

    (found,) = measure_quality([of("Double it.", TESTED)], Broken())
    assert (found.state, found.value) == ("unscored", None)


def test_row_tests_other_functions_are_not_run():
    class Counting(Here):
        seen = 0

        def run(self, trials):
            Counting.seen += len(trials)
            return super().run(trials)

    measure_quality([of("other(1) == 2", TESTED)], Counting())
    assert Counting.seen == 2
    assert quality.MARK
