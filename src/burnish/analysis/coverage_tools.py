"""Coverage as a language's own tool measures it: V8's, `go tool cover`, gcov."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from burnish.analysis.coverage_gcov import gcov_coverage
from burnish.analysis.coverage_go import go_coverage
from burnish.analysis.coverage_node import v8_coverage
from burnish.analysis.coverage_task import CoverageTask, Known, NotMeasured
from burnish.analysis.schema import Coverage

TOOLS: Mapping[str, tuple[str, Callable[[CoverageTask], list[Known | str]]]] = {
    "javascript": ("V8 coverage", v8_coverage),
    "typescript": ("V8 coverage", v8_coverage),
    "go": ("go tool cover", go_coverage),
    "c": ("gcov", gcov_coverage),
    "cpp": ("gcov", gcov_coverage),
}


def measure(task: CoverageTask) -> tuple[str, list[Known | str] | str]:
    """The name of a language's tool and what it knows of each test; a text says why nothing.

    The name is empty where a language has no tool but our own tracer.
    Raises: IsolationError.
    Source: NODE_V8_COVERAGE; `go tool cover -mode=count`; gcov's JSON.
    Oracle: tests/analysis/test_coverage_tools.py::test_tools_agree_with_our_own_lines
    """
    name, tool = TOOLS.get(task.language, ("", None))
    if tool is None:
        return "", "there is none for this language"
    try:
        tests = tool(task)
    except NotMeasured as error:
        return name, str(error)
    lines = frozenset(task.lines)  # a tool may also count lines on which no statement begins
    return name, [
        known if isinstance(known, str) else {i: known[i] for i in known if i in lines}
        for known in tests
    ]


def with_tool(coverage: Coverage, task: CoverageTask, tools: dict[str, str]) -> Coverage:
    """The coverage as the language's own tool has it, where it has it; `tools` says how it fared.

    Hits and times stay those of our tracer. Where the two disagree about a line, `tools` names it.
    """
    name, found = measure(dataclasses.replace(task, lines=coverage.executable))
    if not name:
        return coverage
    if isinstance(found, str):
        tools[name] = found
        return coverage
    runs = [
        dataclasses.replace(run, known={} if isinstance(known, str) else known)
        for run, known in zip(coverage.tests, found, strict=True)
    ]
    failed = [known for known in found if isinstance(known, str)]
    if failed:
        tools[name] = f"failed: {len(failed)} of {len(found)} tests have no coverage: {failed[0]}"
    else:
        tools[name] = f"{len(found)} tests measured{_differing(coverage, found)}"
    if len(failed) == len(found):
        return coverage
    return dataclasses.replace(coverage, tests=tuple(runs), tool=name)


def _differing(coverage: Coverage, found: Sequence[Known | str]) -> str:
    lines = {
        line
        for run, known in zip(coverage.tests, found, strict=True)
        if run.status == "ok" and not isinstance(known, str)
        for line, reached in known.items()
        if reached != (line in run.executed)
    }
    return f"; our own lines differ in {sorted(lines)}" if lines else ""
