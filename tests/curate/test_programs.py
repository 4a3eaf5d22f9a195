"""Programs in answers, and what a benchmark's tests call."""

from fixtures.curating import BRACKETS, ODD, PUZZLE, row

from burnish.curate.programs import program_of, target_of
from burnish.curate.samples import read_sample
from burnish.data.benchmarks import BenchmarkItem, load_benchmark

HELPER = "def helper(x):\n    return x\n"


def program(text):
    return program_of(read_sample(row(1, "x", text), 1))


def test_programs_in_answers():
    for text in (
        PUZZLE,
        f"```python\n{PUZZLE}```",
        f"So:\n```\n{PUZZLE}\n```\nand then\n```bash\nls\n```",
        f"Here it is.\n\n{PUZZLE}\nThat is all, really.",
        f"```python\n{PUZZLE}",
        PUZZLE.replace("\n", "\r\n"),
    ):
        assert list(program(text).functions) == ["puzzle"], text
    two = program(f"```python\n{HELPER}```\nthen\n```python\n{PUZZLE}```")
    assert list(two.functions) == ["helper", "puzzle"]
    assert program("function f() { return 1; }") is None
    assert program("print(1)") is None
    assert program("def f(:") is None


def test_targets():
    found = target_of(BRACKETS)
    assert (found.entry, found.num_arguments) == ("deepest", 1)
    assert target_of(BenchmarkItem(id=1, prompt="x", solution=HELPER)) is None
    only_tests = BenchmarkItem(id=1, prompt="x", asserts="assert f(1, b=2) == 3")
    assert (target_of(only_tests).entry, target_of(only_tests).num_arguments) == ("f", 2)
    with_helper = BenchmarkItem(
        id=1, prompt="", solution=HELPER + ODD.solution, asserts=ODD.asserts
    )
    assert target_of(with_helper).entry == "weird"


def test_every_item_of_humaneval_has_a_target():
    items = load_benchmark("humaneval")
    assert [target_of(item).entry for item in items] == [item.entry for item in items]
