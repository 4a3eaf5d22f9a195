"""Rows of every published form become one."""

import dataclasses

import pytest

from burnish.base.errors import InputError, MissingFileError
from burnish.base.records import write_json, write_records
from burnish.data.benchmarks import BenchmarkItem, benchmark_item, load_benchmark
from burnish.data.tasks import make_task

MBPP = {"task_id": 2, "text": "Add.", "code": "def add(a, b):\r\n  return a + b",
        "test_list": ["assert add(1, 2) == 3"], "test_setup_code": "import math",
        "challenge_test_list": ["assert add(0, 0) == 0"]}  # fmt: skip
LEETCODE = {"task_id": "two-sum", "query": "Two sum", "prompt": "from typing import *",
            "completion": "class Solution: ...", "entry_point": "Solution().twoSum",
            "test": "def check(candidate):\n    assert candidate(1)"}  # fmt: skip
FORMS = [
    (MBPP, {"id": 2, "prompt": "Add.", "solution": "def add(a, b):\n  return a + b",
            "asserts": "assert add(1, 2) == 3\nassert add(0, 0) == 0", "context": "import math"}),
    (LEETCODE, {"id": "two-sum", "prompt": "Two sum", "solution": "class Solution: ...",
                "entry": "Solution().twoSum", "context": "from typing import *",
                "asserts": LEETCODE["test"] + "\ncheck(Solution().twoSum)"}),
    ({"id": "a", "prompt": "p", "solution": "s", "tests": "t"},
     {"id": "a", "prompt": "p", "solution": "s", "asserts": "t"}),
    ({"id": "a", "prompt": "p", "solution": "", "tests": None}, {"id": "a", "prompt": "p"}),
    ({"question": "q", "answer": "#### 4"}, {"id": 9, "prompt": "q", "solution": "#### 4"}),
    ({"prompt": "p", "tests": [{"stdin": "", "stdout": ""}]}, {"id": 9, "prompt": "p"}),
    ({"id": "t", "prompt": "p", "answer": "s", "checker": "c", "metadata": {
        "asserts": "assert f(1)", "entry": "f", "prefix": "import x", "problem": "P"}},
     {"id": "t", "prompt": "P", "solution": "s", "asserts": "assert f(1)", "entry": "f",
      "context": "import x"}),
    ({"id": "t", "prompt": "p", "answer": "s", "checker": "c", "metadata": {
        "asserts": "assert f(1)", "language": "lua"}}, {"id": "t", "prompt": "p", "solution": "s"}),
    ({"text": "words"}, {"id": 9, "prompt": "words"}),
]  # fmt: skip


@pytest.mark.parametrize(("row", "wanted"), FORMS)
def test_rows_of_every_form(row, wanted):
    found = dataclasses.asdict(benchmark_item(row, "b", "here", 9))
    assert found == {
        **dataclasses.asdict(BenchmarkItem(id=9, prompt="")),
        "benchmark": "b",
        **wanted,
    }


def test_humaneval():
    items = load_benchmark("humaneval")
    assert len(items) == 164 and items[0].id == "HumanEval/0"
    assert items[0].context == "from typing import List\n\n\n"
    scope = {}
    exec(items[13].prompt + items[13].solution + items[13].asserts, scope)


def test_files_folders_and_runs(tmp_path):
    write_records(tmp_path / "one.jsonl", [MBPP])
    write_records(tmp_path / "two.json", [{"prompt": "p"}])
    assert [i.benchmark for i in load_benchmark(str(tmp_path))] == ["one", "two"]
    run = tmp_path / "run"
    (run / "stages" / "tasks").mkdir(parents=True)
    write_json(run / "run.json", {})
    with pytest.raises(InputError, match="held-out"):
        load_benchmark(str(run))
    task = make_task("What is 1 + 2?", "3", group="sums")
    write_records(run / "stages" / "tasks" / "heldout.jsonl", [task])
    (item,) = load_benchmark(str(run))
    assert (item.prompt, item.solution, item.benchmark) == ("What is 1 + 2?", "3", "run")


@pytest.mark.parametrize("row", [{"a": 1}, {"prompt": b"x"}])
def test_rows_of_no_form(row):
    with pytest.raises(InputError, match="here"):
        benchmark_item(row, "b", "here")


def test_what_does_not_exist(tmp_path):
    with pytest.raises(MissingFileError, match="humaneval"):
        load_benchmark("mbpp")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError):
        load_benchmark(str(tmp_path / "empty"))
