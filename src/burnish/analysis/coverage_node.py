"""Coverage of JavaScript and TypeScript as V8 counts it."""

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path

from burnish.analysis.coverage_task import (
    CoverageTask,
    Known,
    NotMeasured,
    bounded,
    chain_of,
    ended_well,
)
from burnish.analysis.v8_ranges import line_positions, mapped_positions, reached_lines
from burnish.sandbox.classify import reason_of
from burnish.sandbox.job import Job, Limits
from burnish.sandbox.languages import find_language
from burnish.sandbox.program import encode, raised
from burnish.sandbox.running import run_job

V8_FOLDER = ".burnish-v8"


def v8_coverage(task: CoverageTask) -> list[Known | str]:
    """Each test's lines, from the file that Node leaves. Raises: NotMeasured; IsolationError."""
    name, files, positions = _node_files(task)
    found = find_language(task.language)
    limits = raised(task.limits or Limits(), found)
    chain = chain_of(task.language)
    command = (*found.run_command(chain, name, limits)[:-1], name)
    results: list[Known | str] = []
    for stdin in task.stdins:
        job = Job(
            argv=command, files=files, stdin=encode(stdin), limits=bounded(task, limits),
            env={**chain.env, **found.env(limits), "NODE_V8_COVERAGE": V8_FOLDER},
            read_only=chain.read_only, data_limit=False,
        )  # fmt: skip
        with tempfile.TemporaryDirectory(prefix="burnish-v8-") as folder:
            outcome = run_job(dataclasses.replace(job, keep=Path(folder)), isolation=task.isolation)
            reports = sorted(Path(folder, V8_FOLDER).glob("*.json"))
            results.append(_read_reports(reports, name, positions) or reason_of(outcome))
    return results


def _read_reports(
    reports: Sequence[Path], name: str, positions: Sequence[tuple[int, int]]
) -> Known | str:
    for path in reports:  # one a process; that of a child does not know the program's file
        try:
            reached = reached_lines(path.read_text(encoding="utf-8"), name, positions)
        except (ValueError, KeyError, TypeError):
            continue
        return {line: line in reached for line, _ in positions}
    return ""


def _node_files(task: CoverageTask) -> tuple[str, dict[str, bytes], list[tuple[int, int]]]:
    """The file that Node runs, all files, and where in it each line begins."""
    found = find_language(task.language)
    source = found.source_name(task.code)
    if task.language == "javascript":
        return source, {source: encode(task.code)}, line_positions(task.code, task.lines)
    chain = chain_of(task.language)
    command = found.compile_command(chain, source)
    if command is None:
        raise NotMeasured("without tsc there is no map from the program to its source")
    limits = raised(found.compile_limits, found)
    with tempfile.TemporaryDirectory(prefix="burnish-v8-") as folder:
        job = Job(
            argv=(*command, "--sourceMap"), files={source: encode(task.code)},
            env={**chain.env, **found.env(limits)}, limits=bounded(task, limits),
            read_only=chain.read_only, keep=Path(folder), data_limit=False,
        )  # fmt: skip
        ended_well(run_job(job, isolation=task.isolation))
        script = Path(folder, "main.js").read_text(encoding="utf-8")
        mapped = mapped_positions(script, Path(folder, "main.js.map").read_text(), task.lines)
    return "main.js", {"main.js": encode(script)}, mapped
